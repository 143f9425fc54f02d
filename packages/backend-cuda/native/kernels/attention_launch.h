// How the launches of attention divide their sequences, and the launch that reads through the copy engine.
#pragma once

#include <algorithm>

#include "attention_softmax.cuh"
#include "launcher.h"

namespace pergola {

// The sequences of one launch: one axis of its grid.
constexpr int kMaxSequences = 65535;

// Calls `launch` with the number of sequences and the first sequence of each launch.
template <typename Launch>
void for_sequences(const AttentionParams& p, Launch launch) {
  for (int first = 0; first < p.sequences; first += kMaxSequences) {
    launch(std::min(kMaxSequences, p.sequences - first), first);
  }
}

// Half types on Hopper. False, and nothing is launched, where the copy engine cannot read the operands.
bool launch_attention_pipelined(const Call& call, const AttentionParams& p);

}  // namespace pergola
