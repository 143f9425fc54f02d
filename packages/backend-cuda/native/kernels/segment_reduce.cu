// segmentReduce: sum, mean, max or min over groups of rows given by an order and offsets.
#include "segments.cuh"

namespace pergola {
namespace {

struct SegmentParams {
  int32_t dtype;
  uint32_t segments, channels;
  // Entries of the order.
  uint32_t rows;
  int32_t reduction;
  float extra_count;
};

}  // namespace

// Buffers: x, order, offsets, out.
PERGOLA_LAUNCHER(segmentReduce) {
  const auto& p = call.as<SegmentParams>();
  with_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch_segments<T>(call, call.in<T>(0), call.in<int32_t>(1), call.in<int32_t>(2), call.out<T>(3), p.segments,
                       p.channels, p.rows, p.reduction, p.extra_count);
  });
  check_launch("segmentReduce");
}

}  // namespace pergola
