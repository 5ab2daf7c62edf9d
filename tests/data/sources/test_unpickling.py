"""The reader of pickles against Python's own, and against pickles that ask for more."""

import collections
import functools
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2m2.data.sources import read_pickle, stand_ins, unpickling
from s2m2.data.sources.pickled import dict_in, list_in
from s2m2.data.sources.unpickling import offset_in_file
from s2m2.errors import InputError
from tests.data.files import write_pickle

RANDOM = np.random.default_rng(0)
ARRAYS = {
    "images": RANDOM.integers(0, 256, (2, 5, 5, 3), dtype=np.uint8),
    "columns first": np.asfortranarray(RANDOM.normal(size=(3, 4))),
    "a part": RANDOM.normal(size=(6, 4))[::2, 1:],
    "big-endian": np.arange(5, dtype=">i4"),
    "half": np.arange(3, dtype=np.float16),
    "truth": np.array([True, False]),
    "text": np.array(["é", "ab"]),
    "bytes": np.array([b"x", b"yz"]),
    "empty": np.zeros((0, 3), np.float32),
    "no axis": np.array(2.5),
}
VALUES: list[Any] = [None, True, 7, -(10**30), 0.1, "é", b"\x00\xff", b"", bytearray(b"ab"), [1, [2]], (1, ("a",)), {"a": {2: []}}, {1, 2}]
PYTHON_2 = (
    b"\x80\x02}U\x05namesU\x03\xc3\xa9as}U\x06pixelsq\x00cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    b"\x89U\x06\x00\x01\x02\xfd\xfe\xfftbs\x86."
)


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_and_plain_containers_are_read_as_python_reads_them(tmp_path: Path, protocol: int) -> None:
    content = {"arrays": ARRAYS, "values": VALUES, "scalars": [np.int64(3), np.float32(0.5), np.bool_(True)], np.int64(4): ()}
    file = write_pickle(tmp_path / "a.pkl", content, protocol)
    expected = pickle.loads(file.read_bytes())
    found: Any = read_pickle(file)
    assert list(found) == list(expected)
    assert found["values"] == expected["values"]
    assert [type(value) for value in found["values"]] == [type(value) for value in expected["values"]]
    assert [(type(value), value) for value in found["scalars"]] == [(type(value), value) for value in expected["scalars"]]
    for name, array in expected["arrays"].items():
        assert type(found["arrays"][name]) is np.ndarray
        assert found["arrays"][name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found["arrays"][name], array)


@pytest.mark.parametrize("protocol", range(6))
def test_features_as_s2m2_saves_them_are_read(tmp_path: Path, protocol: int) -> None:
    features = collections.defaultdict(list)
    for label in (3, 1, 3):
        features[label].append(RANDOM.normal(size=4).astype(np.float32))
    found: Any = read_pickle(write_pickle(tmp_path / "features.plk", features, protocol))
    assert type(found) is dict
    assert list(found) == [3, 1]
    np.testing.assert_array_equal(np.stack(found[3]), np.stack(features[3]))


def test_other_dicts_and_sets_come_out_plain(tmp_path: Path) -> None:
    content = [collections.OrderedDict(b=1, a=2), frozenset({"x"})]
    found: Any = read_pickle(write_pickle(tmp_path / "a.pkl", content, 2))
    assert found == [{"b": 1, "a": 2}, frozenset({"x"})]
    assert type(found[0]) is dict


def test_a_pickle_of_python_2_is_read(tmp_path: Path) -> None:
    (tmp_path / "old.pkl").write_bytes(PYTHON_2)
    names, pixels = map(dict, read_pickle(tmp_path / "old.pkl"))  # type: ignore[call-overload]
    assert names == {"names": "Ã©a"}  # Latin-1, as NumPy needs it; the readers of datasets mend texts.
    np.testing.assert_array_equal(pixels["pixels"], [[0, 1, 2], [253, 254, 255]])


PIXELS = RANDOM.integers(0, 256, (7, 9, 8, 3), dtype=np.uint8)


def test_long_bytes_stay_in_the_file_wherever_they_lie_there_as_they_are(tmp_path: Path) -> None:
    content = {"before": [1, "a"], "pixels": PIXELS, "again": PIXELS[2:], "behind": b"x" * 2000}
    raw = PIXELS.tobytes()
    python_2 = PYTHON_2.replace(b"K\x02K\x03\x86", b"(K\x07K\x09K\x08K\x03t")
    python_2 = python_2.replace(b"U\x06\x00\x01\x02\xfd\xfe\xff", b"T" + len(raw).to_bytes(4, "little") + raw)
    (tmp_path / "2.pkl").write_bytes(python_2)
    for file in (*(write_pickle(tmp_path / f"{protocol}.pkl", content, protocol) for protocol in (3, 4, 5)), tmp_path / "2.pkl"):
        read: Any = read_pickle(file)
        found = read["pixels"] if isinstance(read, dict) else read[1]["pixels"]
        for part, expected in ((found, PIXELS), (found[3], PIXELS[3]), (found[3].reshape(-1), PIXELS[3].reshape(-1))):
            np.testing.assert_array_equal(part, expected)
            start = offset_in_file(part)
            assert start is not None
            assert file.read_bytes()[start : start + part.nbytes] == expected.tobytes()
        assert offset_in_file(found[:, 1:]) is None, "in pieces"
        if isinstance(read, dict):
            assert bytes(read["behind"]) == content["behind"]
            np.testing.assert_array_equal(read["again"], PIXELS[2:])


def test_bytes_that_a_pickle_has_as_text_are_read_into_memory(tmp_path: Path) -> None:
    for protocol in (0, 1, 2):
        found: Any = read_pickle(write_pickle(tmp_path / "a.pkl", PIXELS, protocol))
        np.testing.assert_array_equal(found, PIXELS)
        assert offset_in_file(found) is None


def test_long_numbers_that_lie_askew_and_long_containers_of_bytes_are_read(tmp_path: Path) -> None:
    numbers = RANDOM.normal(size=(40, 9))
    for padding in range(8):
        found: Any = read_pickle(write_pickle(tmp_path / "a.pkl", {"x" * padding: numbers, "bytes": bytearray(3000)}, 3 + padding % 3))
        np.testing.assert_array_equal(found["x" * padding], numbers)
        assert found["x" * padding].flags.aligned
        assert bytes(found["bytes"]) == bytes(3000)
    long_text = b"\x80\x02T" + (2000).to_bytes(4, "little") + b"\xe9" * 2000 + b"."
    (tmp_path / "text.pkl").write_bytes(long_text)
    assert read_pickle(tmp_path / "text.pkl") == "é" * 2000


@pytest.mark.parametrize("instruction", [b"B\xff\xff\xff\x7f", b"\x8e" + b"\xff" * 8, b"T\xff\xff\xff\xff", b"\x96" + b"\x7f" * 8])
def test_bytes_longer_than_the_file_are_an_error(tmp_path: Path, instruction: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04" + instruction + b"ab.")
    with pytest.raises(InputError, match=r"a\.pkl is no pickle, or is damaged or cut short: it ends early"):
        read_pickle(tmp_path / "a.pkl")


def test_an_instruction_that_no_pickle_has_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02\xff.")
    with pytest.raises(InputError, match="it has an instruction that no pickle has"):
        read_pickle(tmp_path / "a.pkl")


def test_large_arrays_are_not_copied_and_cannot_be_written_to(tmp_path: Path) -> None:
    images: Any = read_pickle(write_pickle(tmp_path / "a.pkl", np.zeros((50, 84, 84, 3), np.uint8)))
    assert images.base is not None
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 1


class Runs:
    """An object whose pickle has something called."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (Runs(os.mkdir, "MADE"), "posix.mkdir"),
        (Runs(eval, "__import__('os').mkdir('MADE')"), "eval"),
        ({"deep": [(Runs(getattr, "", "upper"),)]}, "getattr"),
        (functools.partial(int), "functools.partial"),
        (collections.Counter("ab"), "collections.Counter"),
        (np.ma.masked_array([1]), "numpy.ma"),
        (Runs(np.ndarray, (2,)), "calls numpy.ndarray"),
        (np.array([None, {}]), "array of type 'O8'"),
        (np.dtype([("a", "u1")]), "array of type|holds a type"),
        (np.zeros(2, [("a", "u1")]), "array of type 'V1'"),
        (np.array("2020", "M8[Y]"), "array of type 'M8'"),
        (np.dtype("u1"), "holds a type"),
        (len, "len"),
        (collections.defaultdict, "holds a function"),
        ([collections.OrderedDict], "holds a function"),
        (Path("x"), "Path"),
        (1j, "complex"),
    ],
)
def test_anything_else_is_refused_and_nothing_of_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for protocol in (2, 4):
        file = write_pickle(tmp_path / "bad.pkl", content, protocol)
        with pytest.raises(InputError, match=rf"bad\.pkl is refused: .*({named})") as error:
            read_pickle(file)
        assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.pkl"]


def test_a_pickle_cannot_change_how_others_are_read(tmp_path: Path) -> None:
    set_attributes = b"\x80\x02cnumpy\ndtype\nN}U\x0c__defaults__K\x01\x85s\x86b."
    forged_type = pickle.dumps(np.zeros(3, np.uint8), 2).replace(b"u1", b"O8")
    wrong_length = pickle.dumps(np.zeros(300, np.uint8), 2).replace(b"M,\x01", b"M,\x7f")
    huge = b"\x80\x02cbuiltins\nbytes\nJ\xff\xff\xff\x7f\x85R."
    for index, content in enumerate((set_attributes, forged_type, wrong_length, huge)):
        (tmp_path / f"{index}.pkl").write_bytes(content)
        with pytest.raises(InputError, match=rf"{index}\.pkl is "):
            read_pickle(tmp_path / f"{index}.pkl")
    file = write_pickle(tmp_path / "good.pkl", np.arange(3))
    np.testing.assert_array_equal(read_pickle(file), np.arange(3))  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", [2, 5])
def test_a_pickle_cut_short_anywhere_is_an_error_naming_it(tmp_path: Path, protocol: int) -> None:
    whole = pickle.dumps({"image_data": np.arange(12, dtype=np.uint8).reshape(2, 6), "class_dict": {"é": [0, 1]}}, protocol)
    for length in range(len(whole)):
        (tmp_path / "cut.pkl").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cut\.pkl is (refused|no pickle)") as error:
            read_pickle(tmp_path / "cut.pkl")
        assert "\n" not in str(error.value)


def test_what_is_no_pickle_or_not_there_is_an_error_naming_it(tmp_path: Path) -> None:
    (tmp_path / "page.pkl").write_text("<html>Too many downloads</html>")
    with pytest.raises(InputError, match=r"page\.pkl is no pickle, or is damaged"):
        read_pickle(tmp_path / "page.pkl")
    with pytest.raises(InputError, match=r"cannot read .*none\.pkl: No such file"):
        read_pickle(tmp_path / "none.pkl")


def bomb(depth: int) -> bytes:
    """A pickle of a list that holds one list twice, which holds another twice, and so on: eight bytes double what it stands for."""
    return b"\x80\x02]" + b"".join(b"q%c0(h%ch%cl" % (index, index, index) for index in range(depth)) + b"."


def test_lists_inside_lists_take_no_more_memory_than_their_pickle(tmp_path: Path) -> None:
    (tmp_path / "small.pkl").write_bytes(bomb(8))
    value: Any = read_pickle(tmp_path / "small.pkl")
    for _ in range(8):
        assert value[0] is value[1]
        value = value[0]
    assert value == []
    (tmp_path / "bomb.pkl").write_bytes(bomb(60))
    (tmp_path / "wide.pkl").write_bytes(b"\x80\x04](B" + (10**6).to_bytes(4, "little") + bytes(10**6) + b"q\x00" + b"h\x00" * 99 + b"e.")
    for file in ("bomb.pkl", "wide.pkl"):
        with pytest.raises(InputError, match=rf"{file} is refused: it stands for far more than its length"):
            read_pickle(tmp_path / file)
    (tmp_path / "labels.pkl").write_bytes(b"\x80\x02}X\x06\x00\x00\x00labels" + bomb(8)[2:-1] + b"s.")
    with pytest.raises(InputError, match="labels is no list of whole numbers"):
        list_in(dict_in(tmp_path / "labels.pkl"), "labels", tmp_path / "labels.pkl")
    # The same lists as the code of a type and as an encoding, which messages would name.
    for call in (b"cnumpy\ndtype\n%s\x85R", b"c_codecs\nencode\nX\x01\x00\x00\x00a%s\x86R"):
        state = b"(K\x01)" + call % bomb(60)[2:-1] + b"\x89C\x00t"
        content = b"\x80\x02" + b"cnumpy.core.multiarray\n_reconstruct\n)R" + state + b"b."
        (tmp_path / "named.pkl").write_bytes(content)
        with pytest.raises(InputError, match=r"named\.pkl is ") as error:
            read_pickle(tmp_path / "named.pkl")
        assert len(str(error.value)) < 500


def test_a_pickle_that_wants_too_much_memory_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(reader: object) -> object:
        raise MemoryError

    monkeypatch.setattr(unpickling._Reader, "load", load)
    with pytest.raises(InputError, match=r"a\.pkl is refused: it asks for more memory than there is"):
        read_pickle(write_pickle(tmp_path / "a.pkl", 1))


BOMBS = {
    "the hash of deep tuples": b"}" + b")" + b"\x85" * 300_000 + b"K\x01s.",
    "the hash of wide tuples": b"}" + b")" + b"2\x86" * 40 + b"K\x01s.",
    "the same in DICT": b"()" + b"2\x86" * 40 + b"K\x01d.",
    "the same in a set": b"\x8f()" + b"2\x86" * 40 + b"\x90.",
    "the same in a frozen set": b"()" + b"2\x86" * 40 + b"\x91.",
    "the same in a called set": b"cbuiltins\nset\n])" + b"2\x86" * 40 + b"a\x85R.",
    "the same in a called dict": b"cbuiltins\ndict\n])" + b"2\x86" * 40 + b"K\x01\x86a\x85R.",
    "a long text as a key": b"}X" + (5000).to_bytes(4, "little") + b"a" * 5000 + b"K\x01s.",
    "numbers of one hash": b"}(" + b"".join(pickle.dumps(key * (2**61 - 1), 2)[2:-1] + b"N" for key in range(20_000)) + b"u.",
    "places of one hash": b"]" + b"".join(b"p%d\n" % (key * (2**61 - 1)) for key in range(20_000)) + b".",
    "deep lists": b"(" * 5000 + b"l" * 5000 + b".",
    "deep tuples": b")" + b"\x85" * 300_000 + b".",
    "a list in itself": b"]q\x00h\x00a.",
    "copies of a list": b"](" + b"N" * 100_000 + b"eq\x000cbuiltins\nlist\nq\x010](" + b"h\x01h\x00\x85R" * 20_000 + b"e.",
    "copies of bytes": b"B"
    + (10**6).to_bytes(4, "little")
    + bytes(10**6)
    + b"q\x000cbuiltins\nbytes\nq\x010]("
    + b"h\x01h\x00\x85R" * 20_000
    + b"e.",
    "empty text of a length": b"cnumpy.core.multiarray\n_reconstruct\n)R(K\x01\x8a\x05\x00\x00\x00\x00\x10\x85cnumpy\ndtype\n"
    + b"U\x02S0\x85R\x89C\x00tb.",
    "a text longer than the file": b"\x8d" + (2**40).to_bytes(8, "little") + b"a.",
    "a number longer than the file": b"\x8b" + (2**31 - 1).to_bytes(4, "little") + b"a.",
    "attributes of a function": b"cnumpy\ndtype\n}X\x01\x00\x00\x00aK\x01sb.",
    "an object of a registry": b"\x82\x01.",
    "a long name": b"c" + b"a" * 100_000 + b"\nb\n.",
    "a long number": b"F" + b"a" * 100_000 + b"\n.",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_stands_for_more_than_its_length_is_one_line_at_once(tmp_path: Path, bomb: str) -> None:
    """In a process of its own with a gigabyte, as some of these once ended it, and others never did."""
    (tmp_path / "bomb.pkl").write_bytes(b"\x80\x04" + BOMBS[bomb])
    script = """
        import resource, sys, time
        from pathlib import Path
        from s2m2.data.sources.unpickling import read_pickle
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        began = time.process_time()
        try:
            read_pickle(Path(sys.argv[1]))
        except ValueError as error:
            print(f"{time.process_time() - began:.0f} {error}")
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "bomb.pkl")]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    seconds, said = finished.stdout.split(" ", 1)
    assert int(seconds) < 3
    assert said.count("\n") == 1
    assert "bomb.pkl is " in said
    assert "more memory than there is" not in said
    assert len(said) < 500 + len(str(tmp_path))


def test_a_long_text_that_is_named_often_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02T" + (5000).to_bytes(4, "little") + b"a" * 5000 + b"q\x00(" + b"h\x00" * 9 + b"l.")
    texts: Any = read_pickle(tmp_path / "a.pkl")
    assert all(text is texts[0] for text in texts)


def test_lists_tuples_dicts_and_sets_take_a_limited_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stand_ins, "MAX_CONTAINER_BYTES", 10_000)
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04(" + b"\x8f" * 100 + b"l.")
    with pytest.raises(InputError, match=r"its lists, tuples, dicts and sets take more than"):
        read_pickle(tmp_path / "a.pkl")
