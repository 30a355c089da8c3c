"""The scratch table: sizes computed by hand from the kernels' sources."""

from __future__ import annotations

from math import prod
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.devices.profile import DeviceProfile
from planner.devices.scratch import known_in_part, limitation, scratch
from planner.devices.scratch.cub import radix_sort_bytes, scan_bytes
from planner.devices.scratch.flash import num_splits
from planner.devices.scratch.iterator import Iterator
from planner.devices.scratch.page import page
from planner.devices.scratch.reduce import Reduction, reduce_sizes
from planner.devices.scratch.table import TABLE

aten = torch.ops.aten
BF16, FP16, FP32, INT64 = torch.bfloat16, torch.float16, torch.float32, torch.int64


def device(architecture: str, multiprocessors: int) -> DeviceProfile:
    return DeviceProfile(
        name="gpu", kind="cuda", architecture=architecture, multiprocessors=multiprocessors
    )


T4 = device("sm_75", 40)
A100 = device("sm_80", 108)
RTX4090 = device("sm_89", 128)
H100 = device("sm_90", 132)
MI300X = device("gfx942", 304)


def meta(*shape: int, dtype: torch.dtype = BF16) -> torch.Tensor:
    return torch.empty(*shape, dtype=dtype, device="meta")


def sizes(func, *args, on=H100, result=(), **kwargs) -> tuple[int, ...]:
    return scratch(func, args, kwargs, result, on)


def run(func, *args, on=H100, **kwargs) -> tuple[int, ...]:
    return sizes(func, *args, on=on, result=func(*args, **kwargs), **kwargs)


class TestFlash:
    FORWARD = aten._scaled_dot_product_flash_attention.default
    BACKWARD = aten._scaled_dot_product_flash_attention_backward.default

    def backward(self, heads=8, key_heads=8, queries=1000, head=64, strided=False, on=H100):
        query = meta(2, queries, heads, head).transpose(1, 2)
        key = meta(2, queries, key_heads, head).transpose(1, 2)
        gradient = meta(2, heads, queries, head) if strided else query
        statistics = meta(2, heads, queries, dtype=FP32)
        return sizes(
            self.BACKWARD, gradient, query, key, key, query, statistics, None, None,
            queries, queries, 0.0, True, None, None, on=on,
        )  # fmt: skip

    def test_backward_accumulates_in_fp32_over_queries_rounded_to_128(self):
        row_sums, queries = self.backward()
        assert row_sums == 2 * 8 * 1024 * 4
        assert queries == 2 * 1024 * 8 * 64 * 4

    @pytest.mark.parametrize(("head", "rounded"), [(72, 96), (96, 96), (136, 192), (256, 256)])
    def test_backward_rounds_the_head(self, head, rounded):
        assert self.backward(head=head)[1] == 2 * 1024 * 8 * rounded * 4

    def test_backward_of_grouped_keys_expands_both_gradients(self):
        *_, keys, values = self.backward(heads=32, key_heads=8)
        assert keys == values == 2 * 1000 * 32 * 64 * 2

    def test_backward_copies_a_gradient_of_another_layout(self):
        assert self.backward(strided=True)[0] == 2 * 8 * 1000 * 64 * 2

    def test_ragged_backward_pads_each_sequence(self):
        query, lengths = meta(900, 8, 64), meta(4, dtype=torch.int32)
        assert sizes(
            aten._flash_attention_backward.default, query, query, query, query, query,
            meta(8, 900, dtype=FP32), lengths, lengths, 400, 400, 0.0, True, None, None,
        ) == (3 * 8 * 512 * 4, (900 + 3 * 128) * 8 * 64 * 4)  # fmt: skip

    def test_training_forward_fills_the_device_and_splits_nothing(self):
        query = meta(8, 16, 1024, 64)
        assert sizes(self.FORWARD, query, query, query, 0.0, True) == ()

    def test_one_token_against_grouped_keys_splits_them(self):
        # 8 key heads make 8 blocks of 4 queries; 4096 keys in blocks of 128 allow 32 splits:
        # 8 * 32 = 256 of 264 half-multiprocessors, the only number of splits above 85 %.
        query, key = meta(1, 32, 1, 128), meta(1, 8, 4096, 128)
        assert sizes(self.FORWARD, query, key, key) == (32 * 8 * 4 * 4, 32 * 8 * 4 * 4 * 128)

    def test_dropout_does_not_split(self):
        query, key = meta(1, 32, 1, 128), meta(1, 8, 4096, 128)
        assert sizes(self.FORWARD, query, key, key, 0.1) == ()

    @given(st.integers(1, 500), st.integers(1, 300), st.integers(1, 500))
    def test_splits_stay_within_what_there_is(self, blocks, multiprocessors, key_blocks):
        assert 1 <= num_splits(blocks, multiprocessors, key_blocks) <= min(128, key_blocks)


class TestEfficient:
    FORWARD = aten._scaled_dot_product_efficient_attention.default
    BACKWARD = aten._scaled_dot_product_efficient_attention_backward.default

    def backward(self, dtype, head, on, queries=512, heads=16, batch=2):
        query = meta(batch, queries, heads, head, dtype=dtype).transpose(1, 2)
        statistics = meta(batch, heads, queries, dtype=FP32)
        return sizes(
            self.BACKWARD, query, query, query, query, None, query, statistics, None, None,
            0.0, (True, True, True, False), on=on,
        )  # fmt: skip

    def test_forward_accumulates_outside_registers_above_128(self):
        wide, narrow = meta(2, 8, 512, 160), meta(2, 8, 512, 128)
        assert sizes(self.FORWARD, wide, wide, wide, None, True) == (2 * 512 * 8 * 160 * 4,)
        assert sizes(self.FORWARD, narrow, narrow, narrow, None, True) == ()
        single = meta(2, 8, 512, 160, dtype=FP32)
        assert sizes(self.FORWARD, single, single, single, None, True) == ()

    def test_backward_of_half_precision_keeps_tiles_of_64(self):
        rows, tiles = self.backward(BF16, 64, A100)
        assert rows == 2 * 16 * 512 * 4
        assert tiles == 2 * 16 * 8 * (64 * 64 + 4) * 4  # 512 / 64 tiles, one column

    def test_kernel_follows_the_shared_memory_of_the_chip(self):
        assert self.backward(BF16, 128, A100)[1] == 2 * 16 * 4 * (128 * 128 + 4) * 4
        # 64 x 64 tiles do not hold a head of 128: dK and dV get staging, 200 // 32 splits.
        staging = 6 * 64 * (128 + 128)
        assert self.backward(BF16, 128, RTX4090)[1] == 2 * 16 * (16 * 4100 + staging) * 4

    def test_backward_of_fp32_forms_the_product_first(self):
        product, rows = 2 * 512 * 16 * 128 * 4, 2 * 16 * 512 * 4
        tiles = 2 * 16 * (4 * 2) * (128 * 64 + 4) * 4
        assert product + 2 * rows > rows + tiles  # 8.1 and 8.1 MiB: locks are less than row sums
        assert self.backward(FP32, 128, A100) == (product, rows, rows)
        assert self.backward(FP16, 128, T4) == (rows, tiles)  # which the kernel sums itself


class TestMatrixProducts:
    def test_dense_and_transposed_operands_are_read_in_place(self):
        assert run(aten.mm.default, meta(8, 64), meta(16, 64).t()) == ()
        assert run(aten.mm.default, meta(8, 128)[:, :64], meta(64, 16)) == ()

    def test_an_expanded_gradient_is_copied(self):
        gradient = meta(1, 1).expand(8, 64)
        assert run(aten.mm.default, gradient, meta(64, 16)) == (8 * 64 * 2,)
        assert run(aten.addmm.default, meta(16), gradient, meta(64, 16)) == (8 * 64 * 2,)

    def test_columns_with_gaps_are_copied(self):
        assert run(aten.mm.default, meta(8, 128)[:, ::2], meta(64, 16)) == (8 * 64 * 2,)

    def test_a_batch_that_is_expanded_over_rows_is_copied(self):
        left = meta(4, 1, 64).expand(4, 8, 64)
        assert run(aten.bmm.default, left, meta(4, 64, 16)) == (4 * 8 * 64 * 2,)
        assert run(aten.bmm.default, meta(4, 64, 8).mT, meta(4, 16, 64).mT) == ()

    def test_a_batch_expanded_over_batches_is_not(self):
        assert run(aten.bmm.default, meta(4, 8, 64), meta(1, 64, 16).expand(4, 64, 16)) == ()

    def test_grouped_product_on_hopper_lists_its_groups(self):
        args = (meta(1024, 64), meta(9, 64, 32), meta(9, dtype=torch.int32))
        assert sizes(aten._grouped_mm.default, *args) == (10 * 24 + 9 * 36,)
        assert sizes(aten._grouped_mm.default, *args, on=A100) == ()


class TestReductions:
    def test_whole_tensor_is_split_over_all_multiprocessors(self):
        # 512 threads a block, 4 blocks a multiprocessor; a float each, and one semaphore
        source = meta(4096, 4096, dtype=FP32)
        assert run(aten.sum.default, source) == (132 * 4 * 4, 4)
        assert run(aten.sum.default, source, on=A100) == (108 * 4 * 4, 4)
        assert run(aten.sum.default, source, on=RTX4090) == (128 * 3 * 4, 4)

    def test_bias_gradient_stages_every_lane(self):
        # Blocks of 32 x 4 threads with 4 outputs each: 32 columns of blocks, 66 blocks each
        # (2112 / 32); Reduce.cuh multiplies by the block's width and its outputs once more.
        expected = (4 * 4096 * 66 * 32 * 4, 4 * 32)
        assert run(aten.sum.dim_IntList, meta(16384, 4096), [0]) == expected
        assert run(aten.sum.dim_IntList, meta(4, 4096, 4096), [0, 1]) == expected

    def test_rows_of_a_large_matrix_need_no_other_block(self):
        assert run(aten.sum.dim_IntList, meta(16384, 4096), [1]) == ()
        assert run(aten.linalg_vector_norm.default, meta(100)) == ()

    def test_another_dtype_is_converted_first(self):
        mask = meta(1000, dtype=torch.bool)
        assert run(aten.sum.default, mask) == (8000,)
        assert run(aten.sum.default, meta(1000), dtype=FP32) == ()  # the kernel reads bf16

    def test_positions_and_moments_stage_more(self):
        # 8 M elements, 512 threads: 528 blocks
        many = meta(1 << 23, dtype=FP32)
        assert run(aten.argmax.default, many, None) == (528 * 16, 4)
        assert run(aten.var_mean.correction, many, [0]) == (528 * 16, 4)
        assert run(aten.amax.default, many) == (528 * 4, 4)

    def test_tensor_beyond_32_bit_offsets_is_reduced_in_parts(self):
        # 4 GiB: a quarter at a time still reaches past 2^31 bytes, so in eighths or less; partial
        # results in bf16 would lose precision, so an fp32 buffer of the one output is kept.
        buffer, *_ = run(aten.sum.default, meta(1 << 31))
        assert buffer == 4

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.integers(1, 70), min_size=1, max_size=5), st.data())
    def test_dimensions_merge_without_losing_an_element(self, shape, data):
        order = data.draw(st.permutations(range(len(shape))))
        reduced = data.draw(st.sets(st.sampled_from(range(len(shape)))))
        tensor = meta(*[shape[i] for i in order], dtype=FP32).permute(
            *sorted(range(len(shape)), key=order.__getitem__)
        )
        assert list(tensor.shape) == shape
        dims = Iterator.of_reduction(tensor.shape, tensor.stride(), reduced, (4, 4)).dims
        assert prod(d.size for d in dims) == prod(shape)
        kept = [d.is_reduced for d in dims]
        assert kept == sorted(kept, reverse=True)  # reduced dimensions first
        assert prod(d.size for d in dims if d.is_reduced) == prod(shape[i] for i in reduced)

    @settings(max_examples=200, deadline=None)
    @given(st.integers(1, 1 << 22), st.integers(1, 1 << 12), st.booleans())
    def test_staging_holds_a_value_of_every_block(self, rows, columns, over_rows):
        staged = reduce_sizes(
            (rows, columns), (columns, 1), {0} if over_rows else {1}, (4, 4), Reduction(4),
            (9, 0), 132,
        )  # fmt: skip
        if staged:
            staging, semaphores = staged[-2:]
            outputs = columns if over_rows else rows
            assert staging % (4 * outputs) == 0
            assert 4 <= semaphores <= 4 * 132 * 2048


class TestNorms:
    def layer_norm(self, rows, columns, on=H100, mask=(True, True, True)):
        inputs, statistics = meta(rows, columns), meta(rows, 1, dtype=FP32)
        return sizes(
            aten.native_layer_norm_backward.default, inputs, inputs, [columns], statistics,
            statistics, meta(columns), meta(columns), mask, on=on,
        )  # fmt: skip

    def test_layer_norm_splits_very_many_short_rows_only(self):
        assert self.layer_norm(8192, 768) == ()
        assert self.layer_norm(100_000, 4096) == ()  # 128 columns of blocks keep 66 busy
        weight, bias, result, *_ = self.layer_norm(100_000, 768)
        assert weight == bias == 1365 * 768 * 2  # 32768 // 24 blocks of rows
        assert result == 768 * 2

    def test_layer_norm_depends_on_the_multiprocessors(self):
        assert self.layer_norm(100_000, 1024, on=T4) == ()  # 32 columns of blocks, 20 wanted
        assert self.layer_norm(100_000, 1024, on=H100)[0] == 1024 * 1024 * 2

    def test_rms_norm_has_no_bias(self):
        inputs = meta(100_000, 768)
        weight, result, *_ = sizes(
            aten._fused_rms_norm_backward.default, inputs, inputs, [768],
            meta(100_000, 1, dtype=FP32), meta(768), (True, True),
        )  # fmt: skip
        assert (weight, result) == (1365 * 768 * 2, 768 * 2)

    def test_layer_norm_takes_its_operands_contiguous(self):
        inputs = meta(64, 128).t()
        assert run(aten.native_layer_norm.default, inputs, [64], meta(64), meta(64), 1e-5) == (
            128 * 64 * 2,
        )

    def test_group_norm_has_factors_by_channel(self):
        args = (meta(4, 64, 8, 8), meta(64), meta(64), 4, 64, 64, 8, 1e-5)
        assert sizes(aten.native_group_norm.default, *args) == (4 * 64 * 4,) * 2
        image, statistics = meta(4, 64, 8, 8), meta(4, 8)
        backward = (image, image, statistics, statistics, meta(64), 4, 64, 64, 8, (True,) * 3)
        assert sizes(aten.native_group_norm_backward.default, *backward) == (
            *(4 * 64 * 4,) * 3,
            *(4 * 8 * 4,) * 2,
        )

    def test_channels_last_batch_norm_shares_partial_statistics(self):
        images = meta(32, 64, 56, 56, dtype=FP32).contiguous(memory_format=torch.channels_last)
        weight = meta(64, dtype=FP32)
        forward = (images, weight, weight, weight, weight, True, 0.1, 1e-5)
        # 32 x 16 threads of 16 elements: 100352 / 256 = 392 blocks of rows, 128 at most
        expected = (4 * 64 * 128 * 4, 2 * 4)
        assert sizes(aten.native_batch_norm.default, *forward) == expected
        plain = (images.contiguous(), *forward[1:])
        assert sizes(aten.native_batch_norm.default, *plain) == ()


class TestLookUps:
    def embedding(self, count, rows=50257, width=768, dtype=BF16, on=H100):
        gradient, indices = meta(count, width, dtype=dtype), meta(count, dtype=INT64)
        return sizes(
            aten.embedding_dense_backward.default, gradient, indices, rows, -1, False, on=on
        )

    def test_few_indices_need_no_sort(self):
        assert self.embedding(3072) == ()
        assert len(self.embedding(3073)) > 2

    def test_many_indices_sum_parts_of_ten_rows_in_fp32(self):
        count = 8192
        parts = count // 10 + count
        assert self.embedding(count) == (
            count * 8, count * 8, count * 8, 8, count * 8, count * 8, 8, parts * 8, parts * 768 * 4,
        )  # fmt: skip

    def test_a_small_vocabulary_has_few_parts(self):
        assert self.embedding(8192, rows=100)[-1] == (819 + 100) * 768 * 4

    def test_accumulating_index_put_sorts_positions(self):
        target, values = meta(1000, 64), meta(5000, 64)
        positions = meta(5000, dtype=INT64)
        # 999 has 10 bits: 2 passes; tiles of 384 x 12 elements
        sort = radix_sort_bytes(5000, 8, 8, (9, 0), 132, bits=10)
        assert sort == 2 * 256 * 8 + 2 * 256 * 4 + 2 * 40192 + 256 + 255
        assert run(aten.index_put.default, target, [positions], values, True) == (
            *(40000,) * 4,
            sort,
        )
        assert run(aten.index_put.default, target, [positions], values, False) == ()

    def test_one_value_for_all_positions_is_expanded(self):
        scratches = run(
            aten.index_put.default, meta(1000, 64), [meta(5000, dtype=INT64)], meta(1), True
        )
        assert scratches[0] == 5000 * 64 * 2


class TestSorts:
    def test_short_rows_are_sorted_in_place(self):
        assert run(aten.sort.default, meta(1000, 4096)) == (8 * 4096,)

    def test_one_long_row(self):
        positions, storage = run(aten.sort.default, meta(100_000, dtype=FP32))
        assert positions == 800_000
        # keys of 4, values of 8 bytes: 29 * 4 // 8 = 14 elements of 384 threads, 19 tiles
        assert storage == 4 * 256 * 8 + 19 * 1024 + 400_128 + 800_000 + 256 + 255

    def test_several_long_rows_are_sorted_together(self):
        first, second, *_ = run(aten.sort.default, meta(8, 10_000, dtype=FP32))
        assert first == second == 8 * 80_000

    def test_very_many_long_rows_take_the_segmented_sort(self):
        positions, _ = run(aten.sort.default, meta(200, 10_000, dtype=FP32))
        assert positions == 8 * 2_000_000

    def test_topk_of_a_vocabulary_uses_several_blocks(self):
        # 128256 / (6 * 132 * 256) = 1: at least 4 elements a thread, 126 blocks
        first, *_ = search = run(aten.topk.default, meta(1, 128_256), 50)
        assert first == 2
        assert search[3] == 126 * 256 * 2
        assert run(aten.topk.default, meta(4096, 64), 8) == ()  # a router

    def test_scan_of_one_row_only(self):
        assert run(aten.cumsum.default, meta(8, 100, dtype=INT64), 1) == ()
        assert run(aten.cumsum.default, meta(1000, dtype=INT64), 0) == (scan_bytes(1000, 8),)

    def test_a_masked_scatter_counts_what_is_chosen(self):
        call = (meta(1000), meta(1000, dtype=torch.bool), meta(600))
        assert run(aten.masked_scatter_.default, *call) == (8000, scan_bytes(1000, 8))

    @given(st.integers(1, 1 << 24), st.sampled_from([4, 8]), st.sampled_from([0, 4, 8]))
    def test_radix_sort_holds_a_second_copy_of_everything(self, count, key, value):
        storage = radix_sort_bytes(count, key, value, (8, 0), 108)
        assert storage == 1 or storage >= count * (key + value)
        assert storage <= count * (key + value) * 1.6 + 20_000


class TestCudnn:
    def test_attention_backward_keeps_at_least_dq_in_fp32(self):
        query = meta(2, 16, 512, 128)
        statistics = meta(2, 16, 512, 1, dtype=FP32)
        assert sizes(
            aten._scaled_dot_product_cudnn_attention_backward.default, query, query, query, query,
            query, statistics, None, None, None, None, None, 512, 512, 0.0, True,
        ) == (2 * 16 * 512 * (128 + 1) * 4,)  # fmt: skip

    def test_convolution_backward_sums_the_bias(self):
        gradient = meta(32, 64, 56, 56, dtype=FP32)
        weight = meta(64, 64, 3, 3, dtype=FP32)
        rest = ([64], [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
        scratches = sizes(
            aten.convolution_backward.default, gradient, gradient, weight, *rest, (True, True, True)
        )
        assert scratches == run(aten.sum.dim_IntList, gradient, [0, 2, 3])
        assert not sizes(
            aten.convolution_backward.default, gradient, gradient, weight, *rest,
            (True, True, False),
        )  # fmt: skip


class TestElsewhere:
    def test_foreach_norm_has_the_chunks_of_the_largest_for_all(self):
        tensors = [meta(1000, 1000), meta(10), meta(5)]
        assert sizes(aten._foreach_norm.Scalar, tensors, 2) == (3 * 16 * 4,)
        assert sizes(aten._foreach_norm.Scalar, tensors, 3) == ()

    def test_softmax_copies_what_is_not_contiguous(self):
        assert run(aten._softmax.default, meta(8, 64).t(), -1, False) == (8 * 64 * 2,)
        assert run(aten._softmax.default, meta(8, 64), -1, False) == ()

    def test_copies_on_one_device_are_direct(self):
        assert run(aten.clone.default, meta(8, 64).t()) == ()


class TestTable:
    def test_unknown_ops_allocate_nothing_and_say_so(self):
        assert run(aten.erfinv.default, meta(8)) == ()
        assert "not read" in limitation(aten.erfinv.default)

    def test_closed_libraries_have_a_limitation(self):
        for func in (
            aten.convolution.default,
            aten._scaled_dot_product_cudnn_attention.default,
            aten.cudnn_batch_norm.default,
        ):
            assert "cuDNN" in limitation(func)
        assert known_in_part(["aten._scaled_dot_product_cudnn_attention", "aten.relu"]) == [
            "aten._scaled_dot_product_cudnn_attention"
        ]

    def test_amd_kernels_are_not_modelled(self):
        assert run(aten.sum.default, meta(4096, 4096), on=MI300X) == ()

    def test_a_profile_without_multiprocessors_is_told_what_is_missing(self):
        bare = DeviceProfile(name="bare", kind="cuda", architecture="sm_90")
        with pytest.raises(ValueError, match="multiprocessors"):
            run(aten.sum.default, meta(4096, 4096), on=bare)

    def test_every_entry_names_its_source_and_version(self):
        for entry in TABLE:
            assert ".c" in entry.source or ".h" in entry.source
            assert entry.version
            assert entry.formula

    def test_the_page_is_the_table(self):
        written = Path(__file__).parents[3] / "docs" / "cuda-scratch.md"
        assert written.read_text() == page(), "python -m planner.devices.scratch.page"
