// Ops on coordinate rows (batch, x, y, z): transformCoords, subdivideCoords, convOutputCoords, inversePermutation,
// curveCodes and batchOffsets.
#include "aligned_coords.h"

namespace pergola {
namespace {

constexpr int kThreads = 256;

__device__ __forceinline__ int32_t floor_divide(int32_t a, int32_t b) {
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

__device__ __forceinline__ uint32_t thread_index() { return blockIdx.x * kThreads + threadIdx.x; }

struct TransformParams {
  uint32_t rows;
  int32_t batch_shift;
  int32_t shift[3];
  int32_t divisor[3];
};

__global__ void transform(const int4* __restrict__ coords, int4* __restrict__ out, TransformParams p) {
  const uint32_t row = thread_index();
  if (row >= p.rows) return;
  const int4 c = coords[row];
  out[row] = make_int4(c.x + p.batch_shift, floor_divide(c.y + p.shift[0], p.divisor[0]),
                       floor_divide(c.z + p.shift[1], p.divisor[1]), floor_divide(c.w + p.shift[2], p.divisor[2]));
}

struct SubdivideParams {
  // Rows of the coordinates; the result has eight times as many.
  uint32_t rows;
};

__global__ void subdivide(const int4* __restrict__ coords, int4* __restrict__ out, SubdivideParams p) {
  const uint32_t row = thread_index();
  if (row >= p.rows * 8) return;
  const int4 c = coords[row >> 3];
  const int child = static_cast<int>(row & 7);
  out[row] = make_int4(c.x, 2 * c.y + (child >> 2), 2 * c.z + (child >> 1 & 1), 2 * c.w + (child & 1));
}

struct ConvOutputParams {
  uint32_t rows;
  int32_t kernel_size, stride, padding, dilation;
  // Outputs that one input can reach along one axis.
  int32_t reach;
  int32_t bounded;
  int32_t extent[3];
};

// Batch of a row that holds no output.
constexpr int32_t kNoBatch = INT32_MAX;

__global__ void conv_outputs(const int4* __restrict__ coords, int4* __restrict__ out, ConvOutputParams p) {
  const uint32_t i = thread_index();
  const uint32_t places = p.reach * p.reach * p.reach;
  if (i >= p.rows * places) return;
  const int4 c = coords[i / places];
  const int place = static_cast<int>(i % places);
  bool reached = true;
  // Candidate j along an axis: the j-th output at or below the input, if a tap connects the two.
  const auto candidate = [&](int axis, int32_t input, int j) {
    const int32_t output = floor_divide(input + p.padding, p.stride) - j;
    const int32_t distance = input + p.padding - output * p.stride;
    reached = reached && distance % p.dilation == 0 && distance / p.dilation < p.kernel_size;
    reached = reached && (p.bounded == 0 || (output >= 0 && output < p.extent[axis]));
    return output;
  };
  const int32_t x = candidate(0, c.y, place / (p.reach * p.reach));
  const int32_t y = candidate(1, c.z, place / p.reach % p.reach);
  const int32_t z = candidate(2, c.w, place % p.reach);
  out[i] = reached ? make_int4(c.x, x, y, z) : make_int4(kNoBatch, 0, 0, 0);
}

struct PermutationParams {
  uint32_t rows;
};

__global__ void invert_order(const int32_t* __restrict__ order, int32_t* __restrict__ out, PermutationParams p) {
  const uint32_t i = thread_index();
  if (i < p.rows) out[order[i]] = static_cast<int32_t>(i);
}

struct CurveParams {
  uint32_t rows;
  int32_t hilbert, transposed;
  int32_t bits;
  int32_t shift[3];
};

__device__ __forceinline__ int32_t interleave(uint32_t a, uint32_t b, uint32_t c, int bits) {
  uint32_t code = 0;
  for (int bit = bits - 1; bit >= 0; bit--) code = code << 3 | (a >> bit & 1) << 2 | (b >> bit & 1) << 1 | (c >> bit & 1);
  return static_cast<int32_t>(code);
}

// Axes to transposed Hilbert index in place, then interleaved (Skilling, AIP Conf. Proc. 707, 2004).
__device__ __forceinline__ int32_t hilbert(uint32_t (&point)[3], int bits) {
  for (int bit = bits - 1; bit >= 1; bit--) {
    const uint32_t low = (1u << bit) - 1;
#pragma unroll
    for (int axis = 0; axis < 3; axis++) {
      if ((point[axis] >> bit & 1) != 0) {
        point[0] ^= low;
      } else {
        const uint32_t swap = (point[0] ^ point[axis]) & low;
        point[0] ^= swap;
        point[axis] ^= swap;
      }
    }
  }
  point[1] ^= point[0];
  point[2] ^= point[1];
  uint32_t flip = 0;
  for (int bit = bits - 1; bit >= 1; bit--) {
    if ((point[2] >> bit & 1) != 0) flip ^= (1u << bit) - 1;
  }
  return interleave(point[0] ^ flip, point[1] ^ flip, point[2] ^ flip, bits);
}

__global__ void curve_codes(const int4* __restrict__ coords, int32_t* __restrict__ out, CurveParams p) {
  const uint32_t row = thread_index();
  if (row >= p.rows) return;
  const int4 c = coords[row];
  const uint32_t mask = (1u << p.bits) - 1;
  const uint32_t x = static_cast<uint32_t>(c.y + p.shift[0]) & mask;
  const uint32_t y = static_cast<uint32_t>(c.z + p.shift[1]) & mask;
  uint32_t point[3] = {p.transposed != 0 ? y : x, p.transposed != 0 ? x : y,
                       static_cast<uint32_t>(c.w + p.shift[2]) & mask};
  out[row] = p.hilbert != 0 ? hilbert(point, p.bits) : interleave(point[0], point[1], point[2], p.bits);
}

struct OffsetsParams {
  uint32_t rows;
  uint32_t batch_size;
};

__global__ void batch_starts(const int4* __restrict__ coords, int32_t* __restrict__ out, OffsetsParams p) {
  const uint32_t batch = thread_index();
  if (batch > p.batch_size) return;
  uint32_t low = 0, high = p.rows;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    if (coords[middle].x < static_cast<int32_t>(batch)) low = middle + 1;
    else high = middle;
  }
  out[batch] = static_cast<int32_t>(low);
}

template <typename Out, typename Params>
void launch(const Call& call, const char* op, void (*kernel)(const int4*, Out*, Params), const Params& p,
            uint32_t count) {
  if (count == 0) return;
  const AlignedCoords coords(call, 0, p.rows);
  kernel<<<ceil_div(count, kThreads), kThreads, 0, call.stream>>>(coords, call.out<Out>(1), p);
  check_launch(op);
}

}  // namespace

// Buffers of each: coords (order for inversePermutation), out.
PERGOLA_LAUNCHER(transformCoords) {
  const auto& p = call.as<TransformParams>();
  launch(call, "transformCoords", transform, p, p.rows);
}

PERGOLA_LAUNCHER(subdivideCoords) {
  const auto& p = call.as<SubdivideParams>();
  launch(call, "subdivideCoords", subdivide, p, p.rows * 8);
}

PERGOLA_LAUNCHER(convOutputCoords) {
  const auto& p = call.as<ConvOutputParams>();
  launch(call, "convOutputCoords", conv_outputs, p, p.rows * p.reach * p.reach * p.reach);
}

PERGOLA_LAUNCHER(inversePermutation) {
  const auto& p = call.as<PermutationParams>();
  invert_order<<<ceil_div(p.rows, kThreads), kThreads, 0, call.stream>>>(call.in<int32_t>(0), call.out<int32_t>(1), p);
  check_launch("inversePermutation");
}

PERGOLA_LAUNCHER(curveCodes) {
  const auto& p = call.as<CurveParams>();
  launch(call, "curveCodes", curve_codes, p, p.rows);
}

PERGOLA_LAUNCHER(batchOffsets) {
  const auto& p = call.as<OffsetsParams>();
  launch(call, "batchOffsets", batch_starts, p, p.batch_size + 1);
}

}  // namespace pergola
