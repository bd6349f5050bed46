"""Just enough PTX to run a kernel without a GPU: all threads at once, an array a register.

It knows the instructions that nv12.ptx has, and refuses others; registers have the bits that they were declared with,
and a load or a store outside of what was allocated is an error, as on a GPU. ptxas checks the syntax (test_nv12.py).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cgnet_deploy.pixels import U8

Values = npt.NDArray[np.int64]
LETTERS = {"u64": "PQ", "u32": "I", "s32": "i"}  # of a parameter, as those of `struct`
PARAMETER = re.compile(r"\.param \.(\w+) (\w+)")
REGISTERS = re.compile(r"\.reg \.(pred|b32|b64) ([^;]+);")
STATEMENT = re.compile(r"(?:@(%\w+) )?([a-z][\w.]*)\s*([^;]*);$")
ARITHMETIC: dict[str, Callable[[Values, Values], Values]] = {
    "add": np.add,
    "sub": np.subtract,
    "max": np.maximum,
    "min": np.minimum,
    "shr": np.right_shift,
    "and": np.bitwise_and,
    "mul.lo": np.multiply,
    "mul.wide": np.multiply,
}


class Memory(Protocol):
    """Of the device, by address."""

    def bytes_at(self, first: int, last: int) -> U8: ...


class Kernel:
    """The entry `name` of a module."""

    def __init__(self, text: str, name: str) -> None:
        text = re.sub(r"//.*", "", text)
        head, _, body = text[text.index(f".entry {name}(") :].partition("{")
        self.parameters = PARAMETER.findall(head)
        self.bits = {
            register: {"pred": 1, "b32": 32, "b64": 64}[kind]
            for kind, names in REGISTERS.findall(body)
            for register in names.split(", ")
        }
        lines = [line.strip() for line in body.partition("}")[0].splitlines()]
        self.lines = [line for line in lines if line and not line.startswith(".reg")]

    def packed(self, letters: str, values: tuple[int, ...]) -> dict[str, int]:
        """The parameters, as pycuda packs them by `letters`."""
        assert len(letters) == len(self.parameters)
        assert all(letter in LETTERS[kind] for letter, (kind, _) in zip(letters, self.parameters, strict=True))
        names = [name for _, name in self.parameters]
        return dict(zip(names, struct.unpack(letters, struct.pack(letters, *values)), strict=True))

    def run(self, grid: tuple[int, int], block: tuple[int, int, int], given: dict[str, int], memory: Memory) -> None:
        assert block[1:] == (1, 1)
        assert block[0] <= 1024
        assert grid[1] < 1 << 16
        y, x, thread = (side.ravel() for side in np.indices((grid[1], grid[0], block[0])))
        held: dict[str, Values] = {"%ctaid.x": x, "%ctaid.y": y, "%tid.x": thread, "%ntid.x": np.full_like(x, block[0])}
        for line in self.lines:
            if line == "DONE:":
                return
            found = STATEMENT.match(line)
            assert found, line
            guard, operation, operands = found.groups()
            if operation == "bra":
                assert operands == "DONE"
                stay = held[guard] == 0
                held = {name: values[stay] for name, values in held.items()}
            else:
                assert guard is None
                self._step(operation, operands.split(", "), held, given, memory)

    def _step(
        self, operation: str, operands: list[str], held: dict[str, Values], given: dict[str, int], memory: Memory
    ) -> None:
        name, kind = operation.rpartition(".")[::2]
        if operation == "st.global.u8":
            place, given_back = operands
            at = self._address(place, held)
            memory.bytes_at(int(at.min()), int(at.max()))[at - at.min()] = held[given_back]
            return
        to, *sources = operands
        value: Any
        if operation == "ld.global.u8":
            at = self._address(sources[0], held)
            value = memory.bytes_at(int(at.min()), int(at.max()))[at - at.min()]
        elif name == "ld.param":
            assert (kind, sources[0][1:-1]) in self.parameters
            value = np.full_like(held["%tid.x"], given[sources[0][1:-1]])
        else:
            values = [held[one] if one.startswith("%") else np.array(int(one)) for one in sources]
            if kind.startswith("u"):
                values = [one & ((1 << int(kind[1:])) - 1) if kind != "u64" else one for one in values]
            if operation in ("mov.u32", "cvt.u64.u32"):
                (value,) = values
            elif name == "setp.ge":
                value = values[0] >= values[1]
            elif name == "mad.lo":
                value = values[0] * values[1] + values[2]
            else:
                value = ARITHMETIC[name](*values)
        held[to] = self._cut(to, np.asarray(value, np.int64))

    def _cut(self, register: str, value: Values) -> Values:
        """To the bits of the register, signed."""
        if self.bits[register] == 32:
            return (value + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
        return value

    def _address(self, place: str, held: dict[str, Values]) -> Values:
        register, _, offset = place[1:-1].partition("+")
        assert self.bits[register] == 64
        return held[register] + int(offset or 0)
