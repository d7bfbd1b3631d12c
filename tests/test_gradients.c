/* Every gradient of chosen networks against central differences, in double (gradient_check.h). The
 * networks join layers as they are fused, split and shared; test_gradients_generated.c goes through
 * the arguments of each layer. */
#include "gradient_check.h"

typedef struct net {
    const char *name;
    tr_shape input;
    int batch, shard, threads;
    int every; /* checks each element (1) or one of so many */
    const char *lines;
    bool eval; /* in the mode of evaluation */
} net;

#define NET(name, h, w, c, batch, shard, threads, every, lines)                                    \
    { name, {false, h, w, c}, batch, shard, threads, every, lines, false }
#define EVAL(name, h, w, c, batch, shard, threads, every, lines)                                   \
    { name, {false, h, w, c}, batch, shard, threads, every, lines, true }

#define LARGE_MATRICES                                                                             \
    "f = flatten\n"                                                                                \
    "a = linear out_features=65\n"                                                                 \
    "r = relu\n"                                                                                   \
    "b = linear out_features=64\n"                                                                 \
    "c = relu\n"                                                                                   \
    "d = linear out_features=80 bias=false\n"                                                      \
    "e = linear out_features=5\n"

static const net nets[] = {
    NET("dense convolution", 7, 6, 3, 3, 1, 2, 1,
        "c = conv2d out_channels=5 kernel_size=3\n"
        "f = flatten\n"),
    NET("padded, strided, relu", 7, 6, 2, 2, 1, 1, 2,
        "c = conv2d out_channels=9 kernel_size=3 stride=2 padding=1\n"
        "r = relu\n"
        "d = conv2d out_channels=3 kernel_size=2 padding=2 bias=false\n"
        "f = flatten\n"),
    NET("convolutions in a row", 6, 6, 2, 3, 2, 2, 3,
        "a = conv2d out_channels=17 kernel_size=3\n"
        "r = relu\n"
        "b = conv2d out_channels=4 kernel_size=1 stride=2\n"
        "c = conv2d out_channels=7 kernel_size=2\n"
        "f = flatten\n"),
    NET("leftover rows and columns", 8, 9, 1, 2, 1, 1, 1,
        "a = conv2d out_channels=3 kernel_size=2 stride=3\n"
        "b = conv2d out_channels=4 kernel_size=2 stride=2\n"
        "f = flatten\n"),
    NET("pooled", 9, 8, 3, 3, 1, 2, 1,
        "c = conv2d out_channels=6 kernel_size=3\n"
        "r = relu\n"
        "p = max_pool2d kernel_size=2\n"
        "f = flatten\n"),
    NET("pooled without relu or bias", 8, 9, 2, 2, 1, 1, 1,
        "c = conv2d out_channels=5 kernel_size=2 bias=false\n"
        "p = max_pool2d kernel_size=3\n"
        "f = flatten\n"),
    NET("pooled behind pooled, padded and strided", 13, 12, 2, 3, 2, 2, 2,
        "a = conv2d out_channels=6 kernel_size=3 padding=1\n"
        "p = max_pool2d kernel_size=2\n"
        "r = relu\n"
        "b = conv2d out_channels=9 kernel_size=3 stride=1 padding=2\n"
        "s = relu\n"
        "q = max_pool2d kernel_size=3\n"
        "c = conv2d out_channels=4 kernel_size=2 stride=2 padding=1\n"
        "t = max_pool2d kernel_size=2\n"
        "f = flatten\n"),
    NET("dense behind pooled behind dense", 10, 9, 2, 2, 1, 2, 2,
        "a = conv2d out_channels=4 kernel_size=3\n"
        "r = relu\n"
        "b = conv2d out_channels=6 kernel_size=2\n"
        "p = max_pool2d kernel_size=2\n"
        "c = conv2d out_channels=3 kernel_size=3 padding=1\n"
        "f = flatten\n"),
    NET("pools by themselves", 9, 8, 2, 3, 1, 2, 1,
        "r = relu\n"
        "p = max_pool2d kernel_size=3 stride=2\n"
        "c = conv2d out_channels=5 kernel_size=2\n"
        "q = max_pool2d kernel_size=2 stride=1\n"
        "s = relu\n"
        "f = flatten\n"
        "l = linear out_features=4\n"),
    NET("linear by samples", 2, 3, 4, 3, 1, 2, 1,
        "f = flatten\n"
        "a = linear out_features=17\n"
        "r = relu\n"
        "b = linear out_features=7 bias=false\n"),
    NET("linear split-K", 3, 3, 8, 4, 1, 2, 23, LARGE_MATRICES),
    NET("the same matrices in a large batch", 3, 3, 8, 17, 2, 2, 61, LARGE_MATRICES),
    NET("residual", 5, 6, 3, 3, 1, 2, 3,
        "a = conv2d out_channels=4 kernel_size=3 padding=1\n"
        "r = relu\n"
        "b = conv2d out_channels=4 kernel_size=3 padding=1\n"
        "s = add from=b,r\n"
        "t = relu\n"
        "f = flatten\n"
        "l = linear out_features=5\n"),
    NET("one value, three readers", 5, 5, 2, 2, 1, 2, 1,
        "a = conv2d out_channels=3 kernel_size=2\n"
        "b = relu from=a\n"
        "c = conv2d out_channels=3 kernel_size=1 from=a\n"
        "d = conv2d out_channels=3 kernel_size=3 padding=1 from=a\n"
        "s = add from=b,c,d,a\n"
        "f = flatten\n"),
    NET("a value and itself", 4, 4, 2, 2, 1, 1, 1,
        "a = conv2d out_channels=3 kernel_size=2\n"
        "s = add from=a,a\n"
        "i = identity\n"
        "t = add from=i,s,a\n"
        "f = flatten\n"
        "g = identity from=f\n"
        "u = add from=f,g\n"),
    NET("the input, three readers", 4, 4, 3, 2, 1, 2, 1,
        "a = relu\n"
        "b = conv2d out_channels=3 kernel_size=3 padding=1 from=input\n"
        "s = add from=input,a,b\n"
        "f = flatten\n"),
    NET("branches of features, split-K", 2, 4, 8, 4, 2, 3, 41,
        "f = flatten\n"
        "a = linear out_features=70\n"
        "b = linear out_features=70 from=f\n"
        "r = relu\n"
        "s = add from=a,r,a\n"
        "c = linear out_features=64\n"
        "d = linear out_features=64 from=r\n"
        "t = add from=c,d\n"
        "e = linear out_features=4\n"),
    NET("weights with one copy for all", 3, 3, 64, 2, 1, 2, 2999,
        "a = conv2d out_channels=128 kernel_size=3 padding=1\n"
        "p = max_pool2d kernel_size=2\n"
        "b = conv2d out_channels=65 kernel_size=3 padding=1\n"
        "c = conv2d out_channels=128 kernel_size=3 padding=1\n"
        "f = flatten\n"
        "l = linear out_features=3\n"),
    NET("a small LeNet", 14, 14, 3, 4, 1, 3, 17,
        "conv1 = conv2d out_channels=6 kernel_size=3\n"
        "relu1 = relu\n"
        "pool1 = max_pool2d kernel_size=2\n"
        "conv2 = conv2d out_channels=16 kernel_size=3\n"
        "relu2 = relu\n"
        "pool2 = max_pool2d kernel_size=2\n"
        "flat = flatten\n"
        "fc1 = linear out_features=64\n"
        "relu3 = relu\n"
        "fc2 = linear out_features=10\n"),
    NET("normalised images", 4, 3, 3, 3, 1, 2, 1,
        "n = batch_norm2d\n"
        "f = flatten\n"),
    NET("normalised convolutions", 5, 6, 2, 5, 2, 2, 2,
        "a = conv2d out_channels=11 kernel_size=3 padding=1\n"
        "n = batch_norm2d eps=0.01 momentum=none\n"
        "r = relu\n"
        "b = conv2d out_channels=4 kernel_size=3 bias=false\n"
        "o = batch_norm2d affine=false track_running_stats=false\n"
        "f = flatten\n"),
    NET("one value of each channel in a sample", 1, 1, 9, 5, 2, 3, 1,
        "n = batch_norm2d\n"
        "c = conv2d out_channels=5 kernel_size=1\n"
        "o = batch_norm2d affine=false\n"
        "f = flatten\n"),
    NET("normalised features", 2, 3, 2, 6, 2, 2, 1,
        "f = flatten\n"
        "n = batch_norm1d\n"
        "l = linear out_features=17\n"
        "o = batch_norm1d\n"
        "r = relu\n"
        "k = linear out_features=4 bias=false\n"),
    NET("normalised residual, first and last relu", 4, 5, 3, 4, 1, 3, 3,
        "s = relu\n"
        "n = batch_norm2d\n"
        "a = conv2d out_channels=3 kernel_size=3 padding=1\n"
        "m = batch_norm2d frozen=weight\n"
        "t = add from=m,n\n"
        "r = relu\n"
        "o = batch_norm2d frozen=bias,weight\n"
        "f = flatten\n"
        "l = linear out_features=4\n"),
    NET("squeeze and excitation of a normalised residual", 5, 4, 3, 4, 1, 3, 3,
        "a = conv2d out_channels=8 kernel_size=3 padding=1\n"
        "n = batch_norm2d\n"
        "p = adaptive_avg_pool2d output_size=1\n"
        "q = conv2d out_channels=2 kernel_size=1\n"
        "r = relu\n"
        "e = conv2d out_channels=8 kernel_size=1\n"
        "s = mul from=n,e\n"
        "t = scale learned=true factor=0.5\n"
        "u = add from=t,a\n"
        "v = relu\n"
        "o = batch_norm2d\n"
        "f = flatten\n"
        "l = linear out_features=4\n"),
    NET("dense block", 4, 5, 2, 4, 1, 2, 3,
        "a = conv2d out_channels=5 kernel_size=3 padding=1\n"
        "n1 = batch_norm2d\n"
        "r1 = relu\n"
        "c1 = conv2d out_channels=3 kernel_size=3 padding=1\n"
        "j1 = concat from=a,c1\n"
        "n2 = batch_norm2d\n"
        "r2 = relu\n"
        "c2 = conv2d out_channels=3 kernel_size=3 padding=1\n"
        "j2 = concat from=a,c1,c2\n"
        "n3 = batch_norm2d\n"
        "f = flatten\n"
        "l = linear out_features=3\n"),
    NET("split, shuffled, padded, upsampled, cropped and joined", 4, 4, 4, 3, 2, 2, 2,
        "a = conv2d out_channels=8 kernel_size=3 padding=1\n"
        "b = slice end=4\n"
        "c = slice start=4 from=a\n"
        "d = sub from=b,c\n"
        "e = concat from=d,c\n"
        "g = channel_shuffle groups=2\n"
        "h = reflection_pad2d padding=1x2x0x3\n"
        "i = zero_pad2d padding=-2x0x1x-1\n"
        "k = upsample scale_factor=2 mode=bilinear\n"
        "m = pixel_shuffle upscale_factor=2\n"
        "o = replication_pad2d padding=1\n"
        "q = adaptive_max_pool2d output_size=3x5\n"
        "r = scale factor=-1.5\n"
        "s = flatten start_dim=2\n"
        "u = batch_norm2d\n"
        "f = flatten\n"
        "l = linear out_features=3\n"),
    NET("dropout of images and features", 3, 4, 5, 3, 1, 2, 1,
        "d = dropout p=0.25\n"
        "c = conv2d out_channels=6 kernel_size=2\n"
        "e = dropout\n"
        "r = relu\n"
        "f = flatten\n"
        "g = dropout p=0.125\n"
        "l = linear out_features=17\n"
        "h = dropout p=0.5\n"
        "i = dropout p=0\n"
        "k = linear out_features=3\n"),
    EVAL("no dropout", 3, 4, 2, 2, 1, 2, 1,
         "d = dropout\n"
         "c = conv2d out_channels=3 kernel_size=2\n"
         "e = dropout p=1\n"
         "f = flatten\n"),
    EVAL("normalised by running statistics", 4, 5, 3, 3, 1, 2, 1,
         "n = batch_norm2d\n"
         "a = conv2d out_channels=5 kernel_size=3 padding=1\n"
         "m = batch_norm2d affine=false\n"
         "r = relu\n"
         "o = batch_norm2d track_running_stats=false\n"
         "f = flatten\n"
         "p = batch_norm1d frozen=weight\n"
         "l = linear out_features=4\n"),
};
enum { N_NETS = sizeof nets / sizeof *nets };

START_TEST(gradients) {
    const net *n = &nets[_i];
    check c;
    check_create(&c, graph_of(n->lines, n->input, 0), n->batch, (uint32_t)_i);
    c.options.shard = n->shard;
    c.options.eval_mode = n->eval;
    c.every = n->every;
    on_team(n->threads, check_run, &c);
    ck_assert_msg(c.err.code == TR_OK, "%s: %s", n->name, c.err.text);
    ck_assert_msg(c.mismatch[0] == '\0', "%s: %s", n->name, c.mismatch);
    ck_assert_int_ge(c.n_checked, 50);
    ck_assert_msg(c.n_kinks * 25 <= c.n_checked, "%s: %lld of %lld elements lie at kinks", n->name,
                  (long long)c.n_kinks, (long long)c.n_checked);
    check_free(&c);
}
END_TEST

static Suite *gradients_suite(void) {
    Suite *suite = suite_create("gradients");
    TCase *all = tcase_create("gradients");
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, gradients, 0, N_NETS);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    setenv("CK_FORK", "no", 1);
    return tr_check_run(gradients_suite());
}
