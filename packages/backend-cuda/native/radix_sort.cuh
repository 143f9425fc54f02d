// Stable radix sort of keys with row numbers: what the sorting ops share.
#pragma once

#include <cstdint>

#include "launcher.h"

namespace pergola {

// Bytes of workspace that the sorts below take for `rows` keys.
size_t sort_workspace_bytes(uint32_t rows);

// Sorts 32-bit keys below 2^bits, carrying their positions. `order` [rows] receives the positions in ascending order of
// their keys, equal keys in ascending order of position; `sorted`, unless null, the keys themselves.
void sort_words(const Call& call, const uint32_t* keys, uint32_t rows, int bits, int32_t* order, uint32_t* sorted,
                void* workspace);

// dtypes of keys, with launcher.h's codes: i32, u32 or f32.
struct KeyRows {
  const uint32_t* data;
  uint32_t rows;
  // Words of a row, compared one after the other.
  uint32_t width;
  int32_t dtype;
};

// Order that sorts rows lexicographically, stable; among f32, -0 equals 0 and all NaN are equal and come last.
void sort_rows(const Call& call, const KeyRows& keys, int32_t* order, void* workspace);

// For rows in sorted order: groups[i] becomes the number of the group of equal rows that place i belongs to, from 1 on.
void number_groups(const Call& call, const KeyRows& keys, const int32_t* order, int32_t* groups, void* workspace);

// Inclusive running sums of `count` words, in place.
void running_sums(const Call& call, int32_t* values, uint32_t count, void* workspace);

}  // namespace pergola
