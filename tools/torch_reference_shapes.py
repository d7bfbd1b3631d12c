"""Reference cases of the layers that join values and change shapes, for torch_reference.py."""

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


FILES = {"sub": sub_cases, "mul": mul_cases, "concat": concat_cases}
