/* Layers that join values and change shapes: what they refuse, and in which words. Their values and
 * gradients are in test_ops.c, test_gradients.c and test_gradients_generated.c. */
#include "network.h"

#define IMAGE                                                                                      \
    { false, 8, 6, 3 }

typedef struct golden {
    tr_shape input;
    const char *lines, *message;
} golden;

static const golden messages[] = {
    {IMAGE, "c = conv2d out_channels=4 kernel_size=3\na = add from=c,input",
     "net.ini:3: a: add wants inputs of one shape, or with 1 where they differ, not 4 x 6 x 4 and "
     "3 x 8 x 6"},
    {IMAGE, "c = conv2d out_channels=2 kernel_size=1\na = mul from=c,input",
     "net.ini:3: a: mul wants inputs of one shape, or with 1 where they differ, not 2 x 8 x 6 and "
     "3 x 8 x 6"},
    {IMAGE,
     "p = max_pool2d kernel_size=8x6\nq = max_pool2d kernel_size=4x3 from=input\n"
     "a = mul from=p,input,q",
     "net.ini:4: a: mul wants inputs of one shape, or with 1 where they differ, not 3 x 8 x 6 and "
     "3 x 2 x 2"},
    {IMAGE, "f = flatten\na = add from=f,input",
     "net.ini:3: a: add wants images or features, not both: 144 and 3 x 8 x 6 (unflatten makes an "
     "image of features)"},
    {IMAGE, "f = flatten\nl = linear out_features=3\na = mul from=input,l",
     "net.ini:4: a: mul wants images or features, not both: 3 x 8 x 6 and 3 (unflatten makes an "
     "image of features)"},
    {IMAGE, "f = flatten\nfc = linear out_features=144\na = add from=f,fc",
     "net.ini:4: a: add wants inputs whose features are in one order, not a flattened image and "
     "other features"},
    {IMAGE, "f = flatten\nl = linear out_features=9\na = sub from=f,l",
     "net.ini:4: a: sub wants inputs of one shape, not 144 and 9"},
    {IMAGE, "a = relu\ns = sub from=a,input,a",
     "net.ini:3: s: sub reads 2 values, but from= names 3"},
    {IMAGE, "a = sub",
     "net.ini:2: a: sub reads 1 value, at least 2 are needed: name them with from=a,b"},
    {IMAGE, "p = max_pool2d kernel_size=2\na = concat from=p,input",
     "net.ini:3: a: concat wants images of one height and width, not 3 x 4 x 3 and 3 x 8 x 6"},
    {IMAGE, "f = flatten\na = concat from=input,f",
     "net.ini:3: a: concat wants images or features, not both: 3 x 8 x 6 and 144"},
    {IMAGE, "a = concat",
     "net.ini:2: a: concat reads 1 value, at least 2 are needed: name them with from=a,b"},
    {IMAGE, "a = concat from=input,input dim=1", "net.ini:2: a.dim: unknown key, there is none"},
    {{false, 1 << 11, 1 << 11, 16},
     "a = identity\nb = concat from=a,a,a",
     "net.ini:3: b: its output would be too large: 201326592 numbers, allowed are up to 134217727"},
    {IMAGE, "s = scale factor=two", "net.ini:2: s.factor: two is not a number"},
    {IMAGE, "s = scale learned=true frozen=bias",
     "net.ini:2: s.frozen: the layer has no parameter 'bias', allowed are weight"},
    {IMAGE, "s = slice end=4", "net.ini:2: s: end=4 is behind the 3 channels"},
    {IMAGE, "s = slice start=3", "net.ini:2: s: start=3 is none of the 3 channels"},
    {IMAGE, "s = slice start=2 end=2", "net.ini:2: s: start=2 and end=2 leave no channels"},
    {IMAGE, "s = slice start=-1",
     "net.ini:2: s.start: -1 is out of range, allowed are 0 to 134217727"},
    {IMAGE, "f = flatten\ns = slice end=145", "net.ini:3: s: end=145 is behind the 144 features"},
    {IMAGE, "f = flatten start_dim=0",
     "net.ini:2: f: start_dim=0 would make one of all samples, 1 and more keep them apart"},
    {IMAGE, "f = flatten start_dim=-4 end_dim=1",
     "net.ini:2: f: start_dim=-4 would make one of all samples, 1 and more keep them apart"},
    {IMAGE, "f = flatten end_dim=2",
     "net.ini:2: f: channels and height alone cannot become one here: end_dim=-1 flattens the "
     "image, start_dim=2 its height and width"},
    {IMAGE, "f = flatten start_dim=2 end_dim=-3", "net.ini:2: f: end_dim=-3 is before start_dim=2"},
    {IMAGE, "f = flatten\ng = flatten start_dim=2",
     "net.ini:3: g: start_dim=2 is no dimension of samples x 144, allowed are -2 to 1"},
    {IMAGE, "f = flatten\ng = flatten end_dim=-3",
     "net.ini:3: g: end_dim=-3 is no dimension of samples x 144, allowed are -2 to 1"},
    {IMAGE, "f = flatten start_dim=4",
     "net.ini:2: f.start_dim: 4 is out of range, allowed are -4 to 3"},
    {IMAGE, "f = flatten\nu = unflatten unflattened_size=3,8",
     "net.ini:3: u: unflattened_size wants three numbers whose product is the 144 features, as in "
     "144,1,1"},
    {IMAGE, "f = flatten\nu = unflatten unflattened_size=3,-1,5",
     "net.ini:3: u: unflattened_size wants three numbers whose product is the 144 features, as in "
     "144,1,1"},
    {IMAGE, "f = flatten\nu = unflatten unflattened_size=-1,-1,3",
     "net.ini:3: u: unflattened_size wants three numbers whose product is the 144 features, as in "
     "144,1,1"},
    {IMAGE, "f = flatten\nu = unflatten unflattened_size=0,1,1",
     "net.ini:3: u: unflattened_size wants three numbers whose product is the 144 features, as in "
     "144,1,1"},
    {IMAGE, "f = flatten\nu = unflatten unflattened_size=1.5,96,1",
     "net.ini:3: u: unflattened_size wants three numbers whose product is the 144 features, as in "
     "144,1,1"},
    {IMAGE, "f = flatten\nu = unflatten unflattened_size=134217727,134217727,134217727",
     "net.ini:3: u: unflattened_size wants three numbers whose product is the 144 features, as in "
     "144,1,1"},
    {IMAGE, "f = flatten\nu = unflatten dim=0 unflattened_size=144,1,1",
     "net.ini:3: u: dim=0 is that of the samples, allowed are 1 and -1"},
    {IMAGE, "u = unflatten unflattened_size=144,1,1",
     "net.ini:2: u: unflatten wants features but its input is an image of 3 x 8 x 6: put a flatten "
     "layer before it"},
    {IMAGE, "p = zero_pad2d",
     "net.ini:2: p.padding: missing, it must be given (pixels on all sides, or on the left, right, "
     "top and bottom; a negative number crops)"},
    {IMAGE, "p = zero_pad2d padding=1x2",
     "net.ini:2: p.padding: 1x2 is not a padding, such as 1 or 1x1x2x2 (left, right, top, bottom), "
     "allowed are -32768 to 32768"},
    {IMAGE, "p = zero_pad2d padding=1x2x3x4x5",
     "net.ini:2: p.padding: 1x2x3x4x5 is not a padding, such as 1 or 1x1x2x2 (left, right, top, "
     "bottom), allowed are -32768 to 32768"},
    {IMAGE, "p = zero_pad2d padding=1,2,3,4",
     "net.ini:2: p.padding: 1,2,3,4 is not a padding, such as 1 or 1x1x2x2 (left, right, top, "
     "bottom), allowed are -32768 to 32768"},
    {IMAGE, "p = zero_pad2d padding=0x0x0x40000",
     "net.ini:2: p.padding: 40000 is out of range, allowed are -32768 to 32768"},
    {IMAGE, "p = zero_pad2d padding=-3x-3x0x0",
     "net.ini:2: p: padding by -3 and -3 leaves no pixel of the width of 3 x 8 x 6"},
    {IMAGE, "p = replication_pad2d padding=0x0x9x-8",
     "net.ini:2: p: padding by 9 and -8 leaves no pixel of the height of 3 x 8 x 6"},
    {IMAGE, "p = reflection_pad2d padding=6x0x0x0",
     "net.ini:2: p: padding=6 is not less than the width of 3 x 8 x 6, allowed are up to 5"},
    {IMAGE, "p = reflection_pad2d padding=0x0x0x8",
     "net.ini:2: p: padding=8 is not less than the height of 3 x 8 x 6, allowed are up to 7"},
    {IMAGE, "p = zero_pad2d padding=20000",
     "net.ini:2: p: its output would be too large: 3 x 40008 x 40006, allowed are up to 134217727 "
     "numbers and sides of 32768"},
    {IMAGE, "f = flatten\np = zero_pad2d padding=1",
     "net.ini:3: p: zero_pad2d wants an image (channels x height x width) but its input has 144 "
     "features"},
    {IMAGE, "u = upsample", "net.ini:2: u: one of size and scale_factor must be given"},
    {IMAGE, "u = upsample size=4 scale_factor=2",
     "net.ini:2: u: size and scale_factor exclude each other"},
    {IMAGE, "u = upsample scale_factor=2x",
     "net.ini:2: u.scale_factor: 2x is not a pair of numbers, such as 2 or 2x1.5, allowed are "
     "0.001 to 1024, or none"},
    {IMAGE, "u = upsample scale_factor=0",
     "net.ini:2: u.scale_factor: 0 is out of range, allowed are 0.001 to 1024, or none"},
    {IMAGE, "u = upsample scale_factor=2xnone",
     "net.ini:2: u: none for one of height and width, a number for the other: two numbers are "
     "needed"},
    {IMAGE, "u = upsample scale_factor=0.1",
     "net.ini:2: u: scale_factor leaves no pixel of the input of 3 x 8 x 6"},
    {IMAGE, "u = upsample size=4 align_corners=true",
     "net.ini:2: u: align_corners=true needs mode=bilinear"},
    {IMAGE, "u = upsample size=4 recompute_scale_factor=true",
     "net.ini:2: u: recompute_scale_factor=true needs a scale_factor, not a size"},
    {IMAGE, "u = upsample size=4 mode=bicubic",
     "net.ini:2: u.mode: unknown value 'bicubic', allowed are nearest, bilinear"},
    {IMAGE, "p = pixel_shuffle upscale_factor=2",
     "net.ini:2: p: upscale_factor=2 needs a multiple of 4 channels, not 3"},
    {IMAGE, "c = channel_shuffle groups=2",
     "net.ini:2: c: groups=2 does not divide the 3 channels"},
    {IMAGE, "f = flatten\np = adaptive_max_pool2d output_size=1",
     "net.ini:3: p: adaptive_max_pool2d wants an image (channels x height x width) but its input "
     "has 144 features"},
    {IMAGE, "p = max_pool2d kernel_size=2 return_indices=true",
     "net.ini:2: p.return_indices: unknown key, allowed are kernel_size, stride, padding, "
     "dilation, ceil_mode"},
};
enum { N_MESSAGES = sizeof messages / sizeof *messages };

START_TEST(errors_are_named) {
    const golden *g = &messages[_i];
    char text[1024];
    tr_graph *graph;
    tr_error err = {0};
    snprintf(text, sizeof text, "[network]\n%s\n[loss]\ntype = cross_entropy\n", g->lines);
    ck_assert_int_eq(graph_of_text(text, g->input, 0, &graph, &err), TR_ECONFIG);
    ck_assert_ptr_null(graph);
    ck_assert_str_eq(err.text, g->message);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("shapes");
    TCase *all = tcase_create("shapes");
    tcase_add_loop_test(all, errors_are_named, 0, N_MESSAGES);
    suite_add_tcase(suite, all);
    return tr_check_run(suite);
}
