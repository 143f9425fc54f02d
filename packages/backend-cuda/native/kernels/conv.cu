// conv2d and conv3d: picks the kernel by dtype, layout and sizes.
#include "conv_narrow.cuh"
#include "conv_tiled.cuh"
#include "conv_wgmma.cuh"
#include "device.h"

namespace pergola {
namespace {

// In the order of the strategies on the TypeScript side.
enum Strategy : int32_t { Tiled = 0, Wgmma = 1, Narrow = 2 };

template <typename T>
void launch(const Call& call, const ConvParams& p) {
  const T* weight = call.in<T>(1);
  const int units = p.cout * p.groups;
  const int sum = p.cin * p.taps;
  // Channels first sums in the order in which the weights lie.
  if (p.channels_last == 0) return launch_conv_tiled<T, false>(call, p, weight, sum);
  // A view may start between the units that the other kernels copy.
  const bool tensor_cores = p.strategy == Wgmma && is_aligned(call.in<T>(0));
  const int depth = tensor_cores ? ceil_div(sum, kDenseDepth) * kDenseDepth : sum;
  auto* rearranged = static_cast<T*>(call.device.workspace(sizeof(T) * units * static_cast<size_t>(depth)));
  launch_rearrange<T>(call, weight, rearranged, units, p.cin, p.taps, depth);
  if constexpr (!std::is_same_v<T, float>) {
    if (tensor_cores) {
      return launch_conv_wgmma_by_size<T>(call, p, rearranged, depth, call.device.properties().multiProcessorCount);
    }
  }
  if (p.strategy == Narrow && is_aligned(call.in<T>(0), sizeof(T) * kNarrowWidth)) {
    return launch_conv_narrow<T>(call, p, rearranged, depth);
  }
  launch_conv_tiled<T, true>(call, p, rearranged, depth);
}

void convolve(const Call& call, const char* op) {
  const auto& p = call.as<ConvParams>();
  with_float(p.dtype, [&](auto zero) { launch<decltype(zero)>(call, p); });
  check_launch(op);
}

}  // namespace

// Buffers of both: x, weight, bias (null without one), out.
PERGOLA_LAUNCHER(conv2d) { convolve(call, "conv2d"); }
PERGOLA_LAUNCHER(conv3d) { convolve(call, "conv3d"); }

}  // namespace pergola
