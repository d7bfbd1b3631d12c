/* The list of models that are not run (onnx_not_run.h): operators that are no layers, types, and
 * single models. */
#include "onnx_not_run.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

enum { MAX_WORDS = 256 };

/* Operators that no layer or loss of an image classifier corresponds to; also the models named
 * _expanded, which compute an operator of their own by these. */
static const struct {
    const char *reason, *operators;
} no_layers[] = {
    {"arithmetic of single numbers that is no layer of torch.nn",
     "Abs Acos Acosh Asin Asinh Atan Atanh Ceil Cos Cosh Div Erf Exp Floor Log Mod Neg Pow "
     "Reciprocal Round Sign Sin Sinh Sqrt Tan Max Mean Min CumSum"},
    {"comparisons, logic and bits",
     "And BitShift Equal Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Not Or Where Xor"},
    {"sums over dimensions: pools do it here",
     "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
     "ReduceSum ReduceSumSquare"},
    {"shapes that are data: here they are known before the first step",
     "Compress ConstantOfShape Expand EyeLike NonZero OneHot Range Reshape Shape Size Squeeze Tile "
     "Transpose Trilu Unsqueeze"},
    {"elements by their number",
     "ArgMax ArgMin Gather GatherElements GatherND MaxUnpool ReverseSequence Scatter "
     "ScatterElements ScatterND TopK Unique"},
    {"other types than floats", "Cast CastLike"},
    {"quantised numbers",
     "ConvInteger DequantizeLinear DynamicQuantizeLinear MatMulInteger QLinearConv QLinearMatMul "
     "QuantizeLinear"},
    {"recurrent layers and attention", "Einsum GRU LSTM RNN"},
    {"control flow", "If Loop Scan"},
    {"signals", "BlackmanWindow DFT HammingWindow HannWindow MelWeightMatrix STFT"},
    {"detection and warping", "GridSample NonMaxSuppression RoiAlign"},
    {"text", "TfIdfVectorizer"},
    {"linear algebra", "Det"},
    {"random numbers of another generator", "Bernoulli RandomUniformLike"},
    {"optimizers, and gradients as nodes: tests of the modules optim and graph",
     "Adagrad Adam Gradient Momentum"},
    {"activations that the issue does not name", "Hardmax Shrink"},
    {"the inverse of pixel_shuffle, which no layer here is", "SpaceToDepth"},
    {"a loss of log-probabilities: here the loss takes logits", "NegativeLogLikelihoodLoss"},
    {"lists of tensors", "SequenceConstruct SequenceEmpty SplitToSequence"},
};
enum { N_NO_LAYERS = sizeof no_layers / sizeof *no_layers };

/* Test data that is no numbers. */
static const char *const types[] = {"strings", "sequences or optional values", "floats of 16 bits"};
enum { N_TYPES = sizeof types / sizeof *types };

static const struct {
    const char *models, *reason;
} single[] = {
    {"*/averagepool_3d_*", "volumes: images have two sides here"},
    {"*/AvgPool3d*", "volumes"},
    {"*/Conv3d*", "volumes"},
    {"*/convtranspose_3d", "volumes"},
    {"*/maxpool_3d_*", "volumes"},
    {"*/MaxPool3d*", "volumes"},
    {"*/averagepool_2d_pads", "more padding than half of the window, which PyTorch refuses"},
    {"*/maxpool_2d_pads", "more padding than half of the window, which PyTorch refuses"},
    {"*/averagepool_2d_same_*", "padding at one end only, which no pool of PyTorch has"},
    {"*/maxpool_2d_same_*", "padding at one end only, which no pool of PyTorch has"},
    {"*/constant", "a constant alone is no layer"},
    {"*/constant_pad", "padding with a number that is not 0 is no layer here"},
    {"*/ConstantPad2d", "padding with a number that is not 0 is no layer here"},
    {"*/hardsigmoid*", "its slope is not 1/6, which PyTorch's is"},
    {"*/selu", "other numbers than PyTorch's, which has them built in"},
    {"*/selu_example", "other numbers than PyTorch's, which has them built in"},
    {"*/prelu_example", "a slope for each element: PyTorch has one for each channel"},
    {"*/matmul_[34]d", "another matrix for each sample"},
    {"*/operator_add_broadcast", "numbers that no float32 is"},
    {"*/operator_add_size1_right_broadcast", "numbers that no float32 is"},
    {"*/operator_add_size1_singleton_broadcast", "numbers that no float32 is"},
    {"*/operator_addconstant", "numbers that no float32 is"},
    {"*/operator_addmm", "a bias that another layer computes"},
    {"*/resize_*_cubic*", "upsample has no mode bicubic here"},
    {"*/resize_tf_crop_and_resize", "it crops, which no layer of PyTorch does"},
    {"*/resize_downsample_scales_nearest", "the pixels of nearest-exact, not of PyTorch's nearest"},
    {"*/resize_downsample_sizes_nearest*", "the pixels of nearest-exact, not of PyTorch's nearest"},
    {"*/resize_upsample_sizes_nearest_*", "other pixels than PyTorch's nearest reads"},
    {"*/resize_downsample_sizes_linear_pytorch_half_pixel",
     "one pixel is the first here, the middle in PyTorch since its version 1.2"},
    {"*/resize_downsample_scales_linear_align_corners",
     "corners of an image 2.4 pixels wide: PyTorch aligns those of the two that there are"},
    {"*/sce_*_ii", "the loss has no ignore_index yet"},
    {"*/sce_*_ii_*", "the loss has no ignore_index yet"},
    {"*/sce_*weight*", "the loss has no weight yet"},
    {"*/sce_none*", "the loss has no reduction yet: it is a mean"},
    {"*/sce_sum*", "the loss has no reduction yet: it is a mean"},
    {"*/slice_neg_steps", "every other element, backwards"},
    {"*/slice_start_out_of_bounds", "no elements"},
    {"*/split_zero_size_splits", "no elements"},
    {"*/training_dropout", "random numbers of another generator"},
    {"*/training_dropout_mask", "random numbers of another generator"},
    {"*/training_dropout_default*", "random numbers of another generator"},
};
enum { N_SINGLE = sizeof single / sizeof *single };

static bool used_word[N_NO_LAYERS][MAX_WORDS], used_type[N_TYPES], used_single[N_SINGLE];

/* The place of the word among those of the list, or -1. */
static int find_word(const char *words, const char *word) {
    size_t n = strlen(word);
    for (int i = 0; *words && i < MAX_WORDS; i++) {
        size_t length = strcspn(words, " ");
        if (length == n && memcmp(words, word, n) == 0) return i;
        words += length + (words[length] == ' ');
    }
    return -1;
}

const char *onnx_reason(const char *model, const char *why, const char *unknown) {
    const char *reason = NULL;
    for (int i = 0; i < N_SINGLE; i++) {
        if (fnmatch(single[i].models, model, 0) != 0) continue;
        used_single[i] = true;
        reason = single[i].reason;
    }
    for (int i = 0; unknown && i < N_NO_LAYERS; i++) {
        int word = find_word(no_layers[i].operators, unknown);
        if (word < 0) continue;
        used_word[i][word] = true;
        reason = no_layers[i].reason;
    }
    for (int i = 0; i < N_TYPES; i++) {
        if (strcmp(types[i], why) != 0) continue;
        used_type[i] = true;
        reason = types[i];
    }
    return reason;
}

bool onnx_is_by_product(const char *output) {
    /* Masks of dropout, numbers of a pool's maxima, statistics of a layer norm. */
    return find_word("z Mean InvStdDev", output) >= 0;
}

int onnx_print_unneeded(void) {
    int n = 0;
    for (int i = 0; i < N_NO_LAYERS; i++) {
        const char *at = no_layers[i].operators;
        for (int k = 0; *at; k++) {
            size_t length = strcspn(at, " ");
            if (!used_word[i][k] && ++n)
                fprintf(stderr, "%.*s: no model needs this operator listed\n", (int)length, at);
            at += length + (at[length] == ' ');
        }
    }
    for (int i = 0; i < N_TYPES; i++)
        if (!used_type[i] && ++n) fprintf(stderr, "%s: no model has such data\n", types[i]);
    for (int i = 0; i < N_SINGLE; i++)
        if (!used_single[i] && ++n)
            fprintf(stderr, "%s: there is no such model\n", single[i].models);
    return n;
}
