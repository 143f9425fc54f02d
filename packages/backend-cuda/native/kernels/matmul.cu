// matmul and linear: one product by cuBLASLt, with a pass for activations that it lacks, or by kernels of our own.
#include "../cublaslt.h"
#include "device.h"
#include "matmul_mma.cuh"
#include "matmul_product.cuh"
#include "matmul_tiled.cuh"
#include "pack.cuh"

namespace pergola {
namespace {

// In the order of the strategies on the TypeScript side.
enum Strategy : int32_t { Cublaslt = 0, Wgmma = 1, Mma = 2, Tiled = 3 };

template <typename T, int32_t Kind>
__global__ void activate_in_place(T* x, int64_t count) {
  const int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (i < count) x[i] = static_cast<T>(activate<Kind>(static_cast<float>(x[i])));
}

void multiply_by_library(const Call& call, const MatmulParams& p) {
  const int64_t d_stride = static_cast<int64_t>(p.m) * p.n;
  const Product product{p.m,     p.n,        p.k,        p.lda,    p.ldb,   p.a_transposed, p.b_transposed,
                        p.batch, p.a_stride, p.b_stride, d_stride, p.dtype, p.tf32};
  const Epilogue epilogue = p.activation == Relu       ? Epilogue::Relu
                            : p.activation == GeluTanh ? Epilogue::GeluTanh
                                                       : Epilogue::None;
  void* d = call.buffers[3];
  cublaslt_product(call.device, call.stream, product, call.buffers[0], call.buffers[1], call.buffers[2], d, epilogue);
  if (p.activation == None || epilogue != Epilogue::None) return;
  const int64_t count = p.batch * d_stride;
  with_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_activation(p.activation, [&](auto kind) {
      activate_in_place<T, kind()><<<ceil_div(count, 256), 256, 0, call.stream>>>(static_cast<T*>(d), count);
    });
  });
}

template <typename T>
void multiply(const Call& call, const MatmulParams& p) {
  if constexpr (!std::is_same_v<T, float>) {
    // A view may start between the units that the tensor cores' kernels copy.
    const bool aligned = is_aligned(call.buffers[0]) && is_aligned(call.buffers[1]);
    // The copy engine refuses some layouts.
    if (aligned && p.strategy == Wgmma && launch_matmul_wgmma(call, p)) return;
    if (aligned && p.strategy != Tiled) return launch_matmul_mma<T>(call, p);
  }
  launch_matmul_tiled<T>(call, p);
}

}  // namespace

// Buffers: a, b, bias (null without one), d.
PERGOLA_LAUNCHER(matmul) {
  const auto& p = call.as<MatmulParams>();
  if (p.strategy == Cublaslt) multiply_by_library(call, p);
  else with_float(p.dtype, [&](auto zero) { multiply<decltype(zero)>(call, p); });
  check_launch("matmul");
}

}  // namespace pergola
