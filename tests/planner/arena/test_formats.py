from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from typer.testing import CliRunner

from app.cli.application import application
from planner.arena import read_csv, violations, write_csv
from tests.planner.arena.instances import buffers_of, columns, random_buffers

TEXT = "id,lower,upper,size\nx,0,3,4\ny,1,2,4\nz,3,9,8\n"


class TestCsv:
    @given(random_buffers())
    def test_what_was_written_is_read_back(self, buffers):
        for text in (write_csv(buffers), write_csv(buffers, np.arange(len(buffers)))):
            again = read_csv(text)
            assert again.ids == buffers.ids
            for column, same in zip(columns(again), columns(buffers), strict=True):
                assert column.tolist() == same.tolist()

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("id,lower,size\n", "no column upper"),
            ("id,lower,upper,size,alignment\n", "alignment is not supported"),
            ("id,lower,upper,size\na,0,1,x\n", "line 2"),
            ("id,lower,upper,size\na,0,1\n", "line 2"),
            ("id,lower,upper,size\na,1,1,4\n", "dies before it is born"),
            ("id,lower,upper,size\na,0,1,0\n", "has no bytes"),
            ("id,lower,upper,size\na,0,1,4\na,0,1,4\n", "one id"),
        ],
    )
    def test_what_is_no_such_file_is_refused_with_the_reason(self, text, said):
        with pytest.raises(ValueError, match=said):
            read_csv(text)


class TestValidator:
    BUFFERS = buffers_of((0, 3, 4), (1, 2, 4), (3, 9, 8))

    @pytest.mark.parametrize("offsets", [[0, 4, 0], [4, 0, 0], [100, 50, 3]])
    def test_a_layout_is_one(self, offsets):
        assert violations(self.BUFFERS, np.array(offsets)) == []

    @pytest.mark.parametrize(
        ("offsets", "said"),
        [
            ([0, 3, 0], "buffers 0 and 1 share bytes at time 1"),
            ([-1, 4, 0], "buffer 0 begins at -1"),
            ([0, 4, 1], "buffer 2 ends at 9, beyond 8"),
            ([0, 4], "2 offsets for 3 buffers"),
        ],
    )
    def test_what_is_wrong_is_said(self, offsets, said):
        assert said in violations(self.BUFFERS, np.array(offsets), 8)


class TestCommand:
    def test_it_writes_the_file_with_offsets(self, tmp_path):
        file, written = tmp_path / "in.csv", tmp_path / "out.csv"
        file.write_text(TEXT)
        command = ["arena", str(file), "--capacity", "8", "--output", str(written)]
        assert CliRunner().invoke(application, command).exit_code == 0
        lines = [line.split(",") for line in written.read_text().splitlines()]
        assert lines[0] == ["id", "lower", "upper", "size", "offset"]
        offsets = np.array([int(line[-1]) for line in lines[1:]])
        assert violations(read_csv(TEXT), offsets, 8) == []

    def test_what_does_not_fit_ends_with_3(self, tmp_path):
        file = tmp_path / "in.csv"
        file.write_text(TEXT)
        result = CliRunner().invoke(application, ["arena", str(file), "--capacity", "7"])
        assert result.exit_code == 3
