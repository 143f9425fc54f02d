// Descriptions of tensors for the copy engine (TMA) of Hopper.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace pergola {

// Rows of several heads in memory: element (row, head, channel) at row * row_stride + head * head_stride + channel.
struct HeadRows {
  const void* base;
  // F16 or BF16.
  int32_t dtype;
  int32_t rows, heads, dim;
  // In elements.
  int32_t row_stride, head_stride;
};

// Describes copies of `box_rows` rows by `box_width` channels of one head: 64, 32 or 16 of them, in shared memory in the
// widest swizzle that they fill. What lies outside of the tensor arrives as zeros. False where the driver cannot.
bool describe_head_rows(CUtensorMap& map, const HeadRows& x, int box_width, int box_rows);

}  // namespace pergola
