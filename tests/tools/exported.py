"""Checks exported files with programs that know nothing of espalier.

    exported.py rename FILE.onnx                                 calls its weights by numbers, in place
    exported.py check PARENT.onnx FOLDER N                       0.onnx, 0.json ... there: the checker, the metadata, what is stored, the
                                                                 shapes against the JSON; and run in OpenCV where it is installed
    exported.py slice PARENT.onnx FILE.json OUT.onnx             the parent cut here as the JSON says
    exported.py run A.onnx B.onnx                                both in OpenCV on the same numbers: prints the largest difference, relative
    exported.py sparse FILE.onnx FILE.json PARENT.onnx           of single weights: the checker, the JSON; prints MACs, parameters and bytes
                                                                 of what isn't zero
    exported.py same A.onnx B.onnx                               whether their numbers are the same, bit by bit

Exits with 77 where python3-onnx (or, for run, OpenCV) isn't there.
"""
import hashlib
import json
import sys

try:
    import numpy as np
    import onnx
    from onnx import numpy_helper
except ImportError:
    print("python3-onnx isn't installed")
    sys.exit(77)

try:
    import cv2
except ImportError:
    cv2 = None


def fail(text):
    print(text)
    sys.exit(1)


def tensors(model):
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def rename(path):
    """So that no name is what espalier would choose."""
    model = onnx.load(path)
    to = {t.name: "weights.%d" % i for i, t in enumerate(model.graph.initializer)}
    for t in model.graph.initializer:
        t.name = to[t.name]
    for n in model.graph.node:
        n.input[:] = [to.get(i, i) for i in n.input]
    onnx.save(model, path)


def check_stored(model):
    names = [t.name for t in model.graph.initializer]
    used = {i for n in model.graph.node for i in n.input}
    unused = [n for n in names if n not in used]
    if unused:
        fail("unused initializers: %s" % unused)
    if len(set(names)) != len(names):
        fail("an initializer is there twice")
    kernels = [(t.tobytes(), t.shape) for t in tensors(model).values() if t.ndim > 1]
    if len(set(kernels)) != len(kernels):
        fail("a kernel is stored twice")
    size = sum(t.nbytes for t in tensors(model).values())
    return size


def check_meta(model, kept, parent, episode):
    meta = {p.key: p.value for p in model.metadata_props}
    for key in ("version", "search", "name", "episode", "budget", "stage", "macs", "macs_ratio", "params", "params_ratio",
                "top1", "top5", "images", "parent_sha256"):
        if "espalier." + key not in meta:
            fail("no espalier.%s in the metadata" % key)
        if key != "version" and str(kept[key]) != meta["espalier." + key] and float(kept[key]) != float(meta["espalier." + key]):
            fail("%s is %s in the JSON, %s in the file" % (key, kept[key], meta["espalier." + key]))
    if meta["espalier.episode"] != episode:
        fail("episode %s" % meta["espalier.episode"])
    if meta["espalier.parent_sha256"] != hashlib.sha256(open(parent, "rb").read()).hexdigest():
        fail("the parent's hash isn't that of %s" % parent)
    if (meta["espalier.stage"] == "final") != ("espalier.test_top1" in meta):
        fail("stage %s, test score %s" % (meta["espalier.stage"], meta.get("espalier.test_top1")))
    return meta


def check_shapes(model, kept, parent):
    has, had = tensors(model), tensors(parent)
    child = {n.output[0]: n for n in model.graph.node}
    layers = {l["value"]: l for l in kept["layers"]}
    weighted = [n for n in parent.graph.node if n.op_type in ("Conv", "Gemm", "BatchNormalization")]
    if len(weighted) != len(layers):
        fail("%d layers in the JSON, %d in the parent" % (len(layers), len(weighted)))
    for n in weighted:
        l = layers[n.output[0]]
        w, old = has[child[n.output[0]].input[1]], had[l["weight"]]
        if list(child[n.output[0]].input[1:len(n.input)]) != list(n.input[1:]):
            fail("%s: its weights were called %s, they are called %s" % (l["value"], n.input[1:], child[n.output[0]].input[1:]))
        if l["weight"] != n.input[1] or l["channels"] != old.shape[0] or l["node"] != (n.name or None):
            fail("layer %s isn't the parent's" % l)
        if len(l["kept"]) != w.shape[0] or l["kept"] != sorted(set(l["kept"])) or l["kept"][-1] >= old.shape[0]:
            fail("%s: %d channels kept, %d in the file" % (l["value"], len(l["kept"]), w.shape[0]))
        if "mask" in l and [c for c, m in enumerate(l["mask"]) if m] != l["kept"]:
            fail("%s: the mask isn't the list" % l["value"])
        if w.ndim == 2 and len(l["input_kept"]) != w.shape[1]:
            fail("%s: %d inputs kept, %d in the file" % (l["value"], len(l["input_kept"]), w.shape[1]))
        if w.ndim == 4:
            group = [a.i for a in child[n.output[0]].attribute if a.name == "group"] or [1]
            if len(l["input_kept"]) != w.shape[1] * group[0]:
                fail("%s: %d inputs kept, %d in the file" % (l["value"], len(l["input_kept"]), w.shape[1] * group[0]))


def check(parent_path, folder, n):
    for episode in range(int(n)):
        at = "%s/%d" % (folder, episode)
        check_one(str(episode), at + ".onnx", at + ".json", parent_path)
        if cv2:
            outputs(at + ".onnx", onnx.load(parent_path).graph.input[0])


def check_one(episode, path, kept_path, parent_path):
    onnx.checker.check_model(path, full_check=True)
    model, parent, kept = onnx.load(path), onnx.load(parent_path), json.load(open(kept_path))
    if [o.version for o in model.opset_import] != [o.version for o in parent.opset_import]:
        fail("opset %s, the parent's %s" % (model.opset_import, parent.opset_import))
    check_stored(model)
    check_meta(model, kept, parent_path, episode)
    check_shapes(model, kept, parent)


def cut(parent_path, kept_path, out_path):
    model, kept = onnx.load(parent_path), json.load(open(kept_path))
    layers = {l["value"]: l for l in kept["layers"]}
    old = tensors(model)
    new = {}
    for n in model.graph.node:
        l = layers.get(n.output[0])
        if l is None:
            continue
        rows = l["kept"]
        for k, name in enumerate(n.input[1:]):
            t = old[name][rows]
            if k == 0 and t.ndim == 2:
                t = t[:, l["input_kept"]]
            if k == 0 and t.ndim == 4:
                if [a.i for a in n.attribute if a.name == "group"] not in ([], [1]):
                    fail("grouped convs aren't cut here")
                t = t[:, l["input_kept"]]
            new[name] = t
    for t in model.graph.initializer:
        if t.name in new:
            t.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(new[t.name]), t.name))
    onnx.checker.check_model(model)
    onnx.save(model, out_path)


def outputs(path, like):
    shape = [2] + [d.dim_value for d in like.type.tensor_type.shape.dim[1:]]
    net = cv2.dnn.readNetFromONNX(path)
    net.setInput(np.random.RandomState(1).standard_normal(shape).astype(np.float32))
    out = net.forward().copy()
    if not np.isfinite(out).all():
        fail("%s: not a number" % path)
    return out


def run(a, b):
    if not cv2:
        print("OpenCV isn't installed for Python")
        sys.exit(77)
    like = onnx.load(a).graph.input[0]
    x, y = outputs(a, like), outputs(b, like)
    if x.shape != y.shape:
        fail("outputs %s and %s" % (x.shape, y.shape))
    print("%.3g" % (np.abs(x - y).max() / np.abs(y).max()))


def conv_positions(node, shapes):
    return shapes[node.output[0]][2] * shapes[node.output[0]][3] if node.op_type == "Conv" else 1


def sparse_bytes(n, m):
    """As common/model/fine.h has it."""
    return min(4 * n, 4 * m + -(-n // 8), 5 * (m + (n - m) // 256))


def sparse(path, kept_path, parent_path):
    """Prints MACs, parameters and bytes of what isn't zero."""
    onnx.checker.check_model(path, full_check=True)
    model, parent = onnx.shape_inference.infer_shapes(onnx.load(path)), onnx.load(parent_path)
    kept = json.load(open(kept_path))
    check_stored(model)
    values = list(model.graph.value_info) + list(model.graph.output)
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    t, old = tensors(model), {n.output[0]: tensors(parent)[n.input[1]] for n in parent.graph.node if n.op_type in ("Conv", "Gemm")}
    macs = params = size = 0
    listed = {l["value"]: l for l in kept["layers"]}
    for n in model.graph.node:
        if n.op_type in ("Conv", "Gemm"):
            w = t[n.input[1]]
            m = int(np.count_nonzero(w))
            macs += m * conv_positions(n, shapes)
            params += m
            size += sparse_bytes(w.size, m)
            l = listed.pop(n.output[0])
            if (l["nonzero"], l["weights"]) != (m, w.size) or abs(l["density"] - m / w.size) > 1e-6:
                fail("%s: %d of %d in the file" % (l, m, w.size))
            if w.shape != old[n.output[0]].shape:
                fail("%s has another shape than the parent's" % n.name)
            rest = n.input[2:]
        else:
            rest = n.input[1:] if n.op_type == "BatchNormalization" else []
        for k, name in enumerate(rest):
            params += t[name].size if k < 2 else 0
            size += 4 * t[name].size
    if listed:
        fail("layers that the file hasn't: %s" % list(listed))
    print(macs, params, size)


def same(a, b):
    x, y = tensors(onnx.load(a)), tensors(onnx.load(b))
    if x.keys() != y.keys() or any(x[k].tobytes() != y[k].tobytes() for k in x):
        fail("not the same numbers")


if __name__ == "__main__":
    {"check": check, "rename": rename, "slice": cut, "run": run, "sparse": sparse, "same": same}[sys.argv[1]](*sys.argv[2:])
