// How the launches of attention divide their sequences, and the launch that reads through the copy engine.
#pragma once

#include <algorithm>

#include "attention_softmax.cuh"
#include "launcher.h"

namespace pergola {

// The sequences of one launch: one axis of its grid.
constexpr int kMaxSequences = 65535;

// Calls `launch` with the grid and the first sequence of each launch, `rows` query rows in each block.
template <typename Launch>
void for_sequences(const AttentionParams& p, int rows, Launch launch) {
  for (int first = 0; first < p.sequences; first += kMaxSequences) {
    launch(dim3(ceil_div(p.max_q, rows), p.heads, std::min(kMaxSequences, p.sequences - first)), first);
  }
}

// Half types on Hopper. False, and nothing is launched, where the copy engine cannot read the operands.
bool launch_attention_pipelined(const Call& call, const AttentionParams& p);

}  // namespace pergola
