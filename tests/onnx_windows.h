/* Operators of ONNX that move pixels or window them, as layers (onnx_windows.c). */
#ifndef TR_TEST_ONNX_WINDOWS_H
#define TR_TEST_ONNX_WINDOWS_H

#include "onnx_import.h"

bool onnx_average_pool(onnx_net *net, const Onnx__NodeProto *node);
bool onnx_concat(onnx_net *net, const Onnx__NodeProto *node);
bool onnx_conv(onnx_net *net, const Onnx__NodeProto *node);
bool onnx_conv_transpose(onnx_net *net, const Onnx__NodeProto *node);
bool onnx_depth_to_space(onnx_net *net, const Onnx__NodeProto *node);
bool onnx_global_average(onnx_net *net, const Onnx__NodeProto *node);
bool onnx_global_max(onnx_net *net, const Onnx__NodeProto *node);
bool onnx_max_pool(onnx_net *net, const Onnx__NodeProto *node);
bool onnx_pad(onnx_net *net, const Onnx__NodeProto *node);
bool onnx_resize(onnx_net *net, const Onnx__NodeProto *node);
bool onnx_slice(onnx_net *net, const Onnx__NodeProto *node);
bool onnx_split(onnx_net *net, const Onnx__NodeProto *node);

/* The attribute `axis`, counted from the front (onnx_operators.c). */
bool onnx_axis(onnx_net *net, const Onnx__NodeProto *node, int64_t fallback, int *axis);

#endif
