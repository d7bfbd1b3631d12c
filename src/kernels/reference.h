/* Private to this module: the entry points of the objects that are compiled once per ISA. */
#ifndef TR_REFERENCE_H
#define TR_REFERENCE_H

#include "kernels/kernels.h"

#ifdef TR_ISA
#define TR_PASTE_(a, b)  a##_##b
#define TR_PASTE(a, b)   TR_PASTE_(a, b)
#define TR_NAME(f)       TR_PASTE(f, TR_ISA)
#define TR_STRING_(text) #text
#define TR_STRING(text)  TR_STRING_(text)
/* The plain versions as compiled for TR_ISA (the first calls the next four), then those that a
 * template replaces. */
void TR_NAME(tr_kernels_fill)(tr_kernels *table);
void TR_NAME(tr_kernels_fill_depthwise)(tr_kernels *table);
void TR_NAME(tr_kernels_fill_dropout)(tr_kernels *table);
void TR_NAME(tr_kernels_fill_pool)(tr_kernels *table);
void TR_NAME(tr_kernels_fill_response)(tr_kernels *table);
void TR_NAME(tr_kernels_fill_shape)(tr_kernels *table);
void TR_NAME(tr_kernels_fill_activation)(tr_kernels *table);
void TR_NAME(tr_kernels_fill_softmax)(tr_kernels *table);
void TR_NAME(tr_kernels_fill_conv)(tr_kernels *table);
void TR_NAME(tr_kernels_fill_gather)(tr_kernels *table);
void TR_NAME(tr_kernels_fill_groups)(tr_kernels *table);
void TR_NAME(tr_kernels_fill_linear)(tr_kernels *table);
void TR_NAME(tr_kernels_fill_norm)(tr_kernels *table);
void TR_NAME(tr_kernels_fill_run)(tr_kernels *table);
void TR_NAME(tr_kernels_fill_words)(tr_kernels *table);
void TR_NAME(tr_kernels_fill_peak)(tr_kernels *table);
#endif

#endif
