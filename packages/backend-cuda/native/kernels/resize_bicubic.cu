// resizeBicubic: taps of both axes, then one pass along rows into f32 and one along columns.
#include "device.h"
#include "pack.cuh"

namespace pergola {
namespace {

struct ResizeParams {
  int32_t dtype;
  int32_t planes;
  int32_t rows, columns;
  int32_t out_rows, out_columns;
  int32_t antialias;
  // Room for taps per output element along each axis.
  int32_t row_taps, column_taps;
};

// Output element i is the sum over t < count[i] of weights[i * width + t] times input element first[i] + t.
struct Taps {
  int32_t* first;
  int32_t* count;
  float* weights;
  int32_t width;
};

// Keys' cubic convolution kernel with free parameter `a`.
__device__ double cubic(double distance, double a) {
  const double x = fabs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// Products and sums that decide which taps there are are rounded one by one, as on the host: a fused product could move
// a border.
__device__ void antialiased_taps(const Taps& taps, int i, int from, int to) {
  const double scale = __ddiv_rn(from, to);
  const double stretch = fmax(scale, 1.0);
  const double support = 2 * stretch;
  const double centre = __dmul_rn(scale, i + 0.5);
  const int start = max(0, static_cast<int>(__dadd_rn(__dadd_rn(centre, -support), 0.5)));
  const int end = min(from, static_cast<int>(__dadd_rn(__dadd_rn(centre, support), 0.5)));
  double total = 0;
  for (int j = start; j < end; j++) total += cubic((j - centre + 0.5) / stretch, -0.5);
  for (int j = start; j < end; j++) {
    taps.weights[i * taps.width + j - start] = static_cast<float>(cubic((j - centre + 0.5) / stretch, -0.5) / total);
  }
  taps.first[i] = start;
  taps.count[i] = end - start;
}

// Taps outside the image repeat its border.
__device__ void plain_taps(const Taps& taps, int i, int from, int to) {
  const double position = __dadd_rn(__ddiv_rn(__dmul_rn(i + 0.5, from), to), -0.5);
  const int below = static_cast<int>(floor(position));
  const int start = min(from - 1, max(0, below - 1));
  double weights[4] = {0, 0, 0, 0};
  int count = 0;
#pragma unroll
  for (int t = 0; t < 4; t++) {
    const int inside = min(from - 1, max(0, below - 1 + t)) - start;
    const double weight = cubic(below - 1 + t - position, -0.75);
#pragma unroll
    for (int place = 0; place < 4; place++) {
      if (place == inside) weights[place] += weight;
    }
    count = max(count, inside + 1);
  }
#pragma unroll
  for (int place = 0; place < 4; place++) taps.weights[i * 4 + place] = static_cast<float>(weights[place]);
  taps.first[i] = start;
  taps.count[i] = count;
}

__global__ void find_taps(Taps down, Taps across, ResizeParams p) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const bool rows = blockIdx.y == 0;
  const Taps& taps = rows ? down : across;
  const int from = rows ? p.rows : p.columns;
  const int to = rows ? p.out_rows : p.out_columns;
  if (i >= to) return;
  if (p.antialias != 0) antialiased_taps(taps, i, from, to);
  else plain_taps(taps, i, from, to);
}

template <typename T>
__global__ void resize_rows(const T* __restrict__ x, float* __restrict__ wide, Taps taps, ResizeParams p) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  const uint32_t lines = static_cast<uint32_t>(p.planes) * p.rows;
  if (i >= lines * p.out_columns) return;
  const uint32_t line = i / p.out_columns;
  const int column = static_cast<int>(i % p.out_columns);
  const T* from = x + static_cast<int64_t>(line) * p.columns + taps.first[column];
  float total = 0.f;
  for (int t = 0; t < taps.count[column]; t++) {
    total = fmaf(taps.weights[column * taps.width + t], static_cast<float>(from[t]), total);
  }
  wide[i] = total;
}

template <typename T>
__global__ void resize_columns(const float* __restrict__ wide, T* __restrict__ out, Taps taps, ResizeParams p) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  const uint32_t plane_size = static_cast<uint32_t>(p.out_rows) * p.out_columns;
  if (i >= p.planes * plane_size) return;
  const uint32_t plane = i / plane_size;
  const int row = static_cast<int>(i % plane_size / p.out_columns);
  const int column = static_cast<int>(i % p.out_columns);
  const float* from = wide + (static_cast<int64_t>(plane) * p.rows + taps.first[row]) * p.out_columns + column;
  float total = 0.f;
  for (int t = 0; t < taps.count[row]; t++) {
    total = fmaf(taps.weights[row * taps.width + t], from[static_cast<int64_t>(t) * p.out_columns], total);
  }
  out[i] = static_cast<T>(total);
}

}  // namespace

PERGOLA_LAUNCHER(resizeBicubic) {
  const auto& p = call.as<ResizeParams>();
  const size_t lines = static_cast<size_t>(p.planes) * p.rows;
  const size_t down_words = static_cast<size_t>(p.out_rows) * (2 + p.row_taps);
  const size_t across_words = static_cast<size_t>(p.out_columns) * (2 + p.column_taps);
  auto* words = static_cast<int32_t*>(
      call.device.workspace(4 * (down_words + across_words + lines * p.out_columns)));
  const auto taps_at = [](int32_t* at, int extent, int width) {
    return Taps{at, at + extent, reinterpret_cast<float*>(at + 2 * extent), width};
  };
  const Taps down = taps_at(words, p.out_rows, p.row_taps);
  const Taps across = taps_at(words + down_words, p.out_columns, p.column_taps);
  auto* wide = reinterpret_cast<float*>(words + down_words + across_words);
  const int longest = p.out_rows > p.out_columns ? p.out_rows : p.out_columns;
  find_taps<<<dim3(ceil_div(longest, 128), 2), 128, 0, call.stream>>>(down, across, p);
  with_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    resize_rows<T><<<ceil_div(lines * p.out_columns, 256), 256, 0, call.stream>>>(call.in<T>(0), wide, across, p);
    const int64_t outputs = static_cast<int64_t>(p.planes) * p.out_rows * p.out_columns;
    resize_columns<T><<<ceil_div(outputs, 256), 256, 0, call.stream>>>(wide, call.out<T>(1), down, p);
  });
  check_launch("resizeBicubic");
}

}  // namespace pergola
