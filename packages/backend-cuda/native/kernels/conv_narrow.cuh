// Dense convolution of channels-last tensors into up to four channels, of which a product of tiles would mostly waste.
//
// A few lanes share a run of neighbouring positions along the last axis: each takes four channels at a time, a channel
// that it reads serves all taps along that axis, and the sums of the lanes meet at the end. Other taps read x again, from
// the L1 cache, so a block takes a compact box of runs.
#pragma once

#include "conv_geometry.cuh"

namespace pergola {

constexpr int kNarrowThreads = 256;
// Taps along the last axis, with stride and dilation 1.
constexpr int kNarrowTaps = 3;
// Channels in one access.
constexpr int kNarrowWidth = 4;

// Lanes of a run, runs of a block's box along each axis, all as powers of two, and boxes along each axis.
struct NarrowBoxes {
  int32_t lane_bits;
  int32_t bits[3];
  int32_t counts[3];
};

// `weight` has rows of `depth` elements with the tap before the channel.
template <typename T, int Units, int Run>
__global__ void __launch_bounds__(kNarrowThreads, 2)
    conv_narrow(const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ out,
                const __grid_constant__ ConvParams p, int depth, const __grid_constant__ NarrowBoxes boxes) {
  const int lanes = 1 << boxes.lane_bits;
  const int lane = threadIdx.x & (lanes - 1);
  int run = threadIdx.x >> boxes.lane_bits;
  int box = blockIdx.x;
  int first[3];
#pragma unroll
  for (int axis = 2; axis >= 0; axis--) {
    first[axis] = (box % boxes.counts[axis] << boxes.bits[axis]) + (run & ((1 << boxes.bits[axis]) - 1));
    box /= boxes.counts[axis];
    run >>= boxes.bits[axis];
  }
  first[2] *= Run;
  const int batch = box;
  // Lanes without positions go along, for the sums need whole warps.
  const bool active = first[0] < p.out_extents[0] && first[1] < p.out_extents[1] && first[2] < p.out_extents[2];
  float sums[Units][Run] = {};
  for (int channel = lane * kNarrowWidth; active && channel < p.cin; channel += lanes * kNarrowWidth) {
    for (int a = 0; a < p.kernel[0]; a++) {
      const int at_x = first[0] * p.stride[0] - p.padding[0] + a * p.dilation[0];
      if (static_cast<uint32_t>(at_x) >= static_cast<uint32_t>(p.x.extents[0])) continue;
      for (int b = 0; b < p.kernel[1]; b++) {
        const int at_y = first[1] * p.stride[1] - p.padding[1] + b * p.dilation[1];
        if (static_cast<uint32_t>(at_y) >= static_cast<uint32_t>(p.x.extents[1])) continue;
        const T* line = x + static_cast<int64_t>(batch) * p.x.batch + static_cast<int64_t>(at_x) * p.x.strides[0] +
                        static_cast<int64_t>(at_y) * p.x.strides[1] + channel;
        const T* taps = weight + (a * p.kernel[1] + b) * kNarrowTaps * p.cin + channel;
        Pack<T, kNarrowWidth> reads[Run + kNarrowTaps - 1];
#pragma unroll
        for (int j = 0; j < Run + kNarrowTaps - 1; j++) {
          const int at_z = first[2] - p.padding[2] + j;
          reads[j] = Pack<T, kNarrowWidth>{};
          if (static_cast<uint32_t>(at_z) < static_cast<uint32_t>(p.x.extents[2])) {
            reads[j] = load_pack<kNarrowWidth>(line + static_cast<int64_t>(at_z) * p.x.strides[2]);
          }
        }
        Pack<T, kNarrowWidth> factors[Units][kNarrowTaps];
#pragma unroll
        for (int unit = 0; unit < Units; unit++) {
#pragma unroll
          for (int tap = 0; tap < kNarrowTaps; tap++) {
            // Units after the last repeat it; their sums are left.
            const int64_t row = static_cast<int64_t>(min(unit, p.cout - 1)) * depth;
            factors[unit][tap] = load_pack<kNarrowWidth>(taps + row + tap * p.cin);
          }
        }
#pragma unroll
        for (int j = 0; j < Run + kNarrowTaps - 1; j++) {
#pragma unroll
          for (int tap = 0; tap < kNarrowTaps; tap++) {
            if (j - tap < 0 || j - tap >= Run) continue;
#pragma unroll
            for (int unit = 0; unit < Units; unit++) {
#pragma unroll
              for (int c = 0; c < kNarrowWidth; c++) {
                sums[unit][j - tap] = fmaf(static_cast<float>(reads[j].at[c]),
                                           static_cast<float>(factors[unit][tap].at[c]), sums[unit][j - tap]);
              }
            }
          }
        }
      }
    }
  }
#pragma unroll
  for (int unit = 0; unit < Units; unit++) {
#pragma unroll
    for (int r = 0; r < Run; r++) {
      for (int step = lanes / 2; step > 0; step /= 2) {
        sums[unit][r] += __shfl_xor_sync(0xffffffffu, sums[unit][r], step);
      }
    }
  }
  if (!active) return;
  const int position = (first[0] * p.out_extents[1] + first[1]) * p.out_extents[2] + first[2];
  T* to = out + static_cast<int64_t>(batch) * p.out.batch + static_cast<int64_t>(position) * p.cout;
#pragma unroll
  for (int r = 0; r < Run; r++) {
    if (first[2] + r >= p.out_extents[2] || lane != (r & (lanes - 1))) continue;
#pragma unroll
    for (int unit = 0; unit < Units; unit++) {
      if (unit >= p.cout) continue;
      to[r * p.cout + unit] = static_cast<T>(sums[unit][r] + (bias != nullptr ? static_cast<float>(bias[unit]) : 0.f));
    }
  }
}

template <typename T, int Units, int Run>
void launch_conv_narrow_run(const Call& call, const ConvParams& p, const T* weight, int depth) {
  const int runs[3] = {p.out_extents[0], p.out_extents[1], ceil_div(p.out_extents[2], Run)};
  NarrowBoxes boxes{};
  while (boxes.lane_bits < 5 && (kNarrowWidth << boxes.lane_bits) < p.cin) boxes.lane_bits++;
  // The box doubles along one axis after the other, past the end of the first when all are covered.
  int full = 0;
  int axis = 1;
  for (int doublings = 8 - boxes.lane_bits; doublings > 0; axis = (axis + 2) % 3) {
    const bool covered = 1 << boxes.bits[axis] >= runs[axis];
    full = covered ? full + 1 : 0;
    if (covered && full <= 3) continue;
    boxes.bits[axis]++;
    doublings--;
  }
  int64_t blocks = p.batch;
  for (int i = 0; i < 3; i++) {
    boxes.counts[i] = ceil_div(runs[i], 1 << boxes.bits[i]);
    blocks *= boxes.counts[i];
  }
  conv_narrow<T, Units, Run><<<static_cast<unsigned>(blocks), kNarrowThreads, 0, call.stream>>>(
      call.in<T>(0), weight, call.in<T>(2), call.out<T>(3), p, depth, boxes);
}

// At most four output channels, any multiple of four input channels.
template <typename T>
void launch_conv_narrow(const Call& call, const ConvParams& p, const T* weight, int depth) {
  if (p.cout == 1) launch_conv_narrow_run<T, 1, 8>(call, p, weight, depth);
  else if (p.cout == 2) launch_conv_narrow_run<T, 2, 8>(call, p, weight, depth);
  // Shorter runs, for the weights of four channels fill the registers.
  else launch_conv_narrow_run<T, 4, 4>(call, p, weight, depth);
}

}  // namespace pergola
