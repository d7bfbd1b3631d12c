"""Reference cases of the layers that join values and change shapes, for torch_reference.py."""
from torch_shapes import ONE_INPUT, numbers_of


def typed(value):
    if value in ("true", "false"):
        return value == "true"
    return numbers_of(value) if isinstance(value, str) else value


def call(cls):
    def function(args, x, params):
        if params:  # scale
            return x * params["weight"].reshape(1, -1, *[1] * (x.dim() - 2))
        return ONE_INPUT[cls]({k: typed(v) for k, v in args.items() if k != "from"}, x.shape[1:])(x)
    return function


def scale_shapes(args, shape):
    return {"weight": (shape[1],)} if args.get("learned") == "true" else {}


# class: shapes of its parameters, and output of (args, input, parameters), as in torch_reference.py
LAYERS = {cls: (scale_shapes if cls == "scale" else None, call(cls)) for cls in ONE_INPUT}


# case: layer_case of torch_reference.py, of name, input shape, lines, ...

A, B, FLAT = "a = identity", "b = relu", "flat = flatten"


def broadcast_cases(case, cls):
    """Each kind of smaller value, as the first and as the second of two."""
    x = "a = conv2d out_channels={0} kernel_size=1 from=input"
    both = ["from=a,s", "from=s,a"]
    small = {"channels": ["s = max_pool2d kernel_size={0}x{1}"],
             "pixels": ["s = conv2d out_channels=1 kernel_size=1 from=input"],
             "rows": ["s = max_pool2d kernel_size=1x{1}"],
             "columns": ["s = max_pool2d kernel_size={0}x1"],
             "one": ["r = conv2d out_channels=1 kernel_size=1", "s = max_pool2d kernel_size={0}x{1}"]}
    cases = []
    for k, (name, lines) in enumerate(small.items()):
        channels, h, w = [(5, 3, 2), (3, 2, 3), (9, 2, 2), (1, 2, 3), (17, 2, 1)][k]
        for i, inputs in enumerate(both):
            cases.append(case(f"{name}_{'second' if i == 0 else 'first'}", (2, 1, h, w),
                              [x.format(channels), *[line.format(h, w) for line in lines],
                               f"t = {cls} {inputs}"], step=0.5))
    return cases


def add_cases(case):
    return broadcast_cases(case, "add") + [
        case("channels_between", (1, 3, 2, 3), [
            A, "s = max_pool2d kernel_size=2x3", "t = add from=a,s,a,s"]),
        case("rows_and_columns", (1, 2, 2, 3), [
            "r = max_pool2d kernel_size=1x3", "p = conv2d out_channels=1 kernel_size=1 from=input",
            "q = max_pool2d kernel_size=2x1", "t = add from=r,q"], step=0.5),
        case("features_and_one", (2, 3, 1, 1), [
            FLAT, "s = linear out_features=1", "t = add from=s,flat"], step=0.5),
    ]


def sub_cases(case):
    return [
        case("two", (2, 3, 3, 4), [A, B, "t = sub from=b,a"]),
        case("itself", (1, 3, 2, 2), [A, "t = sub from=a,a"]),
        case("image_1x1", (1, 1, 1, 1), [A, B, "t = sub from=a,b"]),
        case("features", (2, 3, 1, 2), [FLAT, "r = relu", "t = sub from=flat,r"]),
        case("features_and_one", (2, 3, 1, 1), [
            FLAT, "s = linear out_features=1", "t = sub from=s,flat"], step=0.5),
    ] + broadcast_cases(case, "sub")


def mul_cases(case):
    return [
        case("two", (2, 3, 3, 4), [A, B, "t = mul from=b,a"]),
        case("itself", (1, 3, 2, 2), [A, "t = mul from=a,a"]),
        case("three", (1, 17, 2, 3), [A, B, "d = identity", "t = mul from=a,d,b"], step=0.5),
        case("image_1x1", (1, 1, 1, 1), [A, B, "t = mul from=a,b"]),
        case("features", (2, 3, 1, 2), [FLAT, "r = relu", "t = mul from=flat,r"]),
        case("features_and_one", (2, 3, 1, 1), [
            FLAT, "s = linear out_features=1", "t = mul from=flat,s,flat"], step=0.5),
        case("channels_twice", (1, 3, 2, 3), [
            A, "s = max_pool2d kernel_size=2x3", "t = mul from=a,s,a,s"], step=0.5, limit=1),
        case("outer", (1, 2, 2, 3), [
            "r = max_pool2d kernel_size=2x3",
            "q = conv2d out_channels=1 kernel_size=1 from=input", "t = mul from=r,q"], step=0.5),
        case("squeeze_and_excitation", (2, 4, 3, 3), [
            A, "pool = max_pool2d kernel_size=3", "fc1 = conv2d out_channels=2 kernel_size=1",
            "relu1 = relu", "fc2 = conv2d out_channels=4 kernel_size=1", "t = mul from=a,fc2"],
             step=0.5, limit=1),
    ] + broadcast_cases(case, "mul")


def concat_cases(case):
    wide = "b = conv2d out_channels={} kernel_size=1"
    return [
        case("two", (2, 3, 3, 4), [A, wide.format(2), "t = concat from=b,a"]),
        case("image_1x1", (1, 1, 1, 1), [A, B, "t = concat from=a,b"]),
        case("itself_and_more", (1, 3, 2, 2), [A, B, "t = concat from=a,a,b,a"]),
        case("vectors", (1, 8, 2, 2), [A, wide.format(16), "d = relu from=a",
                                       "t = concat from=a,b,d"], step=0.5),
        case("odd_channels", (1, 9, 1, 3), [A, wide.format(17), "t = concat from=b,a"], step=0.5),
        case("dense", (1, 2, 3, 3), [
            A, "n1 = conv2d out_channels=3 kernel_size=3 padding=1", "c1 = concat from=a,n1",
            "n2 = conv2d out_channels=3 kernel_size=1", "c2 = concat from=a,n1,n2",
            "n3 = conv2d out_channels=1 kernel_size=2"], step=0.5),
        case("features", (2, 3, 1, 1), [FLAT, "l = linear out_features=4",
                                        "t = concat from=flat,l"], step=0.5),
        case("features_of_images", (2, 2, 2, 3), [
            FLAT, "b = conv2d out_channels=3 kernel_size=1 from=input", "flatb = flatten",
            "t = concat from=flatb,flat", "l = linear out_features=3"], step=0.5),
        case("features_in_other_orders", (2, 2, 2, 3), [
            FLAT, "l = linear out_features=5",
            "b = conv2d out_channels=3 kernel_size=2 from=input", "flatb = flatten",
            "t = concat from=flat,l,flatb", "m = linear out_features=2"], step=0.5, limit=1),
    ]


def table_cases(case, cls, table, **more):
    """Of (name, shape, arguments)."""
    return [case(name, shape, [f"t = {cls} {args}".strip()], **more) for name, shape, args in table]


def scale_cases(case):
    return table_cases(case, "scale", [
        ("image_1x1", (2, 1, 1, 1), "factor=0.375"),
        ("negative", (2, 3, 3, 5), "factor=-2"),
        ("nothing", (1, 3, 2, 2), ""),
        ("zero", (1, 17, 1, 2), "factor=0"),
        ("learned_image_1x1", (2, 1, 1, 1), "learned=true"),
        ("learned", (2, 3, 3, 4), "learned=true factor=0.5"),
        ("learned_9_channels", (3, 9, 2, 2), "learned=true"),
        ("learned_17_channels", (1, 17, 2, 1), "learned=true"),
    ]) + [
        case("features", (3, 5, 1, 1), ["flat = flatten", "t = scale factor=0.125"]),
        case("learned_features", (3, 5, 1, 1), ["flat = flatten", "t = scale learned=true"]),
        case("learned_flattened_image", (3, 3, 2, 2), [
            "flat = flatten", "t = scale learned=true", "l = linear out_features=2"], step=0.5),
        case("twice", (2, 3, 2, 2), ["s = scale learned=true", "t = scale learned=true"], step=0.5),
    ]


def slice_cases(case):
    features = [("middle", "start=2 end=5"), ("whole_channels", "start=4 end=8"),
                ("across", "start=3 end=9"), ("rest", "start=11")]
    return table_cases(case, "slice", [
        ("all", (2, 3, 3, 4), ""),
        ("first", (2, 3, 2, 4), "end=1"),
        ("last", (2, 3, 2, 4), "start=2"),
        ("some", (1, 17, 2, 3), "start=3 end=14"),
        ("vectors", (1, 33, 1, 2), "start=8 end=24"),
        ("one_channel", (1, 1, 1, 1), "start=0 end=1"),
    ]) + [case("features_" + name, (2, 3, 2, 2), [
        "flat = flatten", "t = slice " + args, "l = linear out_features=2"], step=0.5)
          for name, args in features] + [
        case("of_features", (2, 6, 1, 1), ["flat = flatten", "t = slice start=1 end=4"]),
        case("split_and_join", (2, 6, 2, 3), [
            A, "b = slice end=2", "c = slice start=2 from=a", "d = relu", "t = concat from=d,b"])]


def flatten_dim_cases(case):
    return table_cases(case, "flatten", [
        ("default", (2, 3, 2, 2), "start_dim=1 end_dim=-1"),
        ("from_the_end", (2, 3, 2, 2), "start_dim=-3 end_dim=3"),
        ("height_and_width", (2, 3, 2, 4), "start_dim=2"),
        ("height_and_width_from_the_end", (1, 5, 3, 1), "start_dim=-2 end_dim=3"),
        ("nothing", (1, 3, 2, 2), "start_dim=2 end_dim=2"),
        ("last", (1, 3, 2, 2), "start_dim=-1"),
        ("samples_alone", (2, 3, 2, 2), "start_dim=0 end_dim=0"),
    ]) + [case("features", (2, 3, 1, 2), ["flat = flatten", "t = flatten start_dim=-1"]),
          case("then_pool", (2, 3, 2, 4), ["t = flatten start_dim=2",
                                           "p = max_pool2d kernel_size=1x3 stride=1"])]


def unflatten_cases(case):
    table = [("channels", (2, 5, 1, 1), "5,1,1"), ("rest", (2, 6, 1, 1), "-1,1,1"),
             ("image", (2, 12, 1, 1), "3,2,2"), ("back", (2, 3, 2, 4), "3,2,4"),
             ("other_image", (1, 3, 2, 4), "2,-1,3"), ("one_channel", (1, 1, 2, 3), "1,3,2"),
             ("one_pixel", (1, 9, 2, 1), "18,1,1")]
    return [case(name, shape, ["flat = flatten", "t = unflatten unflattened_size=" + size])
            for name, shape, size in table] + [
        case("from_the_end", (1, 4, 1, 1), [
            "flat = flatten", "t = unflatten dim=-1 unflattened_size=1,2,2"]),
        case("squeeze_and_excitation", (2, 4, 3, 3), [
            A, "pool = max_pool2d kernel_size=3", "flat = flatten", "fc1 = linear out_features=2",
            "relu1 = relu", "fc2 = linear out_features=4", "map = unflatten unflattened_size=-1,1,1",
            "t = mul from=a,map"], step=0.5, limit=1)]


def pad_cases(cls):
    def cases(case):
        table = [("none", (1, 2, 2, 3), "padding=0"),
                 ("left", (2, 3, 2, 4), "padding=3x0x0x0"),
                 ("right", (1, 3, 2, 4), "padding=0x2x0x0"),
                 ("top", (1, 3, 4, 2), "padding=0x0x1x0"),
                 ("bottom", (1, 1, 4, 2), "padding=0x0x0x3"),
                 ("all", (1, 17, 4, 3), "padding=1x2x3x0"),
                 ("all_one", (2, 8, 3, 2), "padding=1"),
                 ("crop", (1, 3, 4, 5), "padding=-1x-2x-1x0"),
                 ("crop_and_pad", (1, 9, 4, 5), "padding=-2x2x1x-2")]
        if cls != "reflection_pad2d":
            table += [("image_1x1", (2, 1, 1, 1), "padding=1x0x2x1"),
                      ("wide", (1, 3, 1, 2), "padding=5x0x4x7")]
        return table_cases(case, cls, table)
    return cases


def upsample_cases(case):
    nearest = table_cases(case, "upsample", [
        ("image_1x1", (2, 1, 1, 1), "scale_factor=3"),
        ("factor_2", (2, 3, 3, 4), "scale_factor=2"),
        ("factor_3", (1, 9, 2, 3), "scale_factor=3"),
        ("rectangle", (1, 3, 3, 2), "scale_factor=1x2.5"),
        ("smaller", (1, 17, 5, 4), "scale_factor=0.5"),
        ("size", (1, 3, 3, 4), "size=7x5"),
        ("size_same", (1, 3, 2, 2), "size=2"),
        ("size_smaller", (1, 3, 7, 5), "size=2x3"),
        ("odd_factor", (1, 1, 5, 6), "scale_factor=1.4"),
        ("odd_factor_recomputed", (1, 1, 5, 6), "scale_factor=1.4 recompute_scale_factor=true"),
    ])
    bilinear = table_cases(case, "upsample", [("bilinear_" + name, shape, "mode=bilinear " + args)
                                              for name, shape, args in [
        ("image_1x1", (2, 1, 1, 1), "scale_factor=3"),
        ("factor_2", (2, 3, 3, 4), "scale_factor=2"),
        ("factor_3", (1, 9, 2, 3), "scale_factor=3"),
        ("rectangle", (1, 3, 3, 2), "scale_factor=1x2.5"),
        ("smaller", (1, 17, 5, 4), "scale_factor=0.5"),
        ("size", (1, 3, 3, 4), "size=7x5"),
        ("size_smaller", (1, 3, 7, 5), "size=2x3"),
        ("corners", (1, 8, 3, 4), "scale_factor=2 align_corners=true"),
        ("corners_size", (1, 3, 5, 2), "size=3x7 align_corners=true"),
        ("corners_to_one", (1, 3, 5, 2), "size=1 align_corners=true"),
        ("corners_of_one", (1, 3, 1, 1), "size=2x3 align_corners=true"),
        ("odd_factor", (1, 1, 5, 6), "scale_factor=1.4"),
        ("odd_factor_recomputed", (1, 1, 5, 6), "scale_factor=1.4 recompute_scale_factor=true"),
    ]], exact=False)
    return nearest + bilinear


def adaptive_max_pool2d_cases(case):
    return table_cases(case, "adaptive_max_pool2d", [
        ("image_1x1", (2, 1, 1, 1), "output_size=1"),
        ("global", (2, 17, 4, 4), "output_size=1"),
        ("global_rectangle", (1, 3, 5, 7), "output_size=1"),
        ("overlaps", (1, 3, 7, 5), "output_size=3"),
        ("rectangle", (1, 9, 5, 6), "output_size=2x4"),
        ("larger", (1, 3, 3, 2), "output_size=7x5"),
        ("none", (1, 3, 3, 4), "output_size=none"),
        ("none_height", (1, 3, 3, 5), "output_size=nonex2"),
        ("none_width", (1, 3, 5, 3), "output_size=2xnone"),
    ]) + [case("ties", (1, 1, 3, 3), ["t = adaptive_max_pool2d output_size=2"],
               x=[1, 1, 0, 1, 1, 1, 0, 1, 1])]


def pixel_shuffle_cases(case):
    return table_cases(case, "pixel_shuffle", [
        ("factor_1", (1, 3, 2, 2), "upscale_factor=1"),
        ("factor_2", (2, 4, 1, 1), "upscale_factor=2"),
        ("factor_2_channels", (2, 12, 3, 2), "upscale_factor=2"),
        ("factor_3", (1, 18, 1, 2), "upscale_factor=3"),
    ])


def channel_shuffle_cases(case):
    return table_cases(case, "channel_shuffle", [
        ("one_channel", (2, 1, 1, 1), "groups=1"),
        ("two_groups", (2, 6, 2, 3), "groups=2"),
        ("three_groups", (1, 12, 1, 2), "groups=3"),
        ("all_groups", (1, 5, 2, 2), "groups=5"),
        ("vectors", (1, 32, 1, 2), "groups=8"),
    ])


FILES = {
    "scale": scale_cases, "slice": slice_cases, "flatten_dims": flatten_dim_cases,
    "unflatten": unflatten_cases, "upsample": upsample_cases, "adaptive_max_pool2d": adaptive_max_pool2d_cases,
    "pixel_shuffle": pixel_shuffle_cases, "channel_shuffle": channel_shuffle_cases,
    **{cls: pad_cases(cls) for cls in ("zero_pad2d", "reflection_pad2d", "replication_pad2d")},
    "sub": sub_cases, "mul": mul_cases, "concat": concat_cases}
