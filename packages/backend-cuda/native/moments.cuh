// Mean and spread of numbers, gathered one by one (Welford 1962) and merged (Chan, Golub and LeVeque 1979): no digits
// are lost when the numbers lie far from zero.
#pragma once

namespace pergola {

struct Moments {
  float count;
  float mean;
  // Sum of squared distances from the mean.
  float squares;
};

// `inverse_count` is 1 / (number of values with this one): threads in step share it.
__device__ __forceinline__ void add_value(Moments& total, float value, float inverse_count) {
  const float distance = value - total.mean;
  total.count += 1.f;
  total.mean = fmaf(distance, inverse_count, total.mean);
  total.squares = fmaf(distance, value - total.mean, total.squares);
}

__device__ __forceinline__ Moments merge(const Moments& a, const Moments& b) {
  if (a.count == 0.f) return b;
  if (b.count == 0.f) return a;
  const float count = a.count + b.count;
  const float distance = b.mean - a.mean;
  const float share = b.count / count;
  return {count, fmaf(distance, share, a.mean), a.squares + b.squares + distance * distance * a.count * share};
}

// Merges the moments of all threads of a block (a power of two of them); every thread gets the result.
template <int Threads>
__device__ __forceinline__ Moments merge_block(const Moments& own) {
  __shared__ Moments shared[Threads];
  shared[threadIdx.x] = own;
  __syncthreads();
  for (int step = Threads / 2; step > 0; step /= 2) {
    if (static_cast<int>(threadIdx.x) < step) shared[threadIdx.x] = merge(shared[threadIdx.x], shared[threadIdx.x + step]);
    __syncthreads();
  }
  return shared[0];
}

}  // namespace pergola
