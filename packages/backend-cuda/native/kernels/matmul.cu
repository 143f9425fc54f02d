// matmul and linear: one cuBLASLt product; activations that cuBLASLt lacks follow as one pass over the result.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../cublaslt.h"
#include "launcher.h"

namespace pergola {
namespace {

// In the order of the activations in @pergola/core: none, relu, silu, gelu, geluTanh, quickGelu.
enum Activation : int32_t { None = 0, Relu = 1, Silu = 2, Gelu = 3, GeluTanh = 4, QuickGelu = 5 };

struct MatmulParams {
  int32_t m, n, k;
  int32_t lda, ldb;
  int32_t a_transposed, b_transposed;
  int32_t batch;
  int32_t a_stride, b_stride;
  int32_t dtype;
  int32_t tf32;
  int32_t activation;
};

__device__ float activate(float x, int32_t activation) {
  switch (activation) {
    case Silu:
      return x / (1.f + __expf(-x));
    case Gelu:
      return 0.5f * x * (1.f + erff(x * 0.70710678118654752f));
    case GeluTanh:
      return 0.5f * x * (1.f + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x)));
    case QuickGelu:
      return x / (1.f + __expf(-1.702f * x));
    default:
      return x;
  }
}

template <typename T>
__global__ void activate_in_place(T* x, int64_t count, int32_t activation) {
  const int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (i < count) x[i] = static_cast<T>(activate(static_cast<float>(x[i]), activation));
}

void activate_result(const Call& call, const MatmulParams& p, void* d) {
  const int64_t count = static_cast<int64_t>(p.batch) * p.m * p.n;
  const int blocks = ceil_div(count, 256);
  if (p.dtype == F16) activate_in_place<<<blocks, 256, 0, call.stream>>>(static_cast<__half*>(d), count, p.activation);
  else if (p.dtype == BF16) activate_in_place<<<blocks, 256, 0, call.stream>>>(static_cast<__nv_bfloat16*>(d), count, p.activation);
  else activate_in_place<<<blocks, 256, 0, call.stream>>>(static_cast<float*>(d), count, p.activation);
  check_launch("activation");
}

}  // namespace

// Buffers: a, b, bias (null without one), d.
PERGOLA_LAUNCHER(matmul) {
  const auto& p = call.as<MatmulParams>();
  const Product product{p.m,      p.n,      p.k,        p.lda,      p.ldb,     p.a_transposed, p.b_transposed,
                        p.batch,  p.a_stride, p.b_stride, static_cast<int64_t>(p.m) * p.n, p.dtype, p.tf32};
  const Epilogue epilogue = p.activation == Relu       ? Epilogue::Relu
                            : p.activation == GeluTanh ? Epilogue::GeluTanh
                                                       : Epilogue::None;
  cublaslt_product(call.device, call.stream, product, call.buffers[0], call.buffers[1], call.buffers[2], call.buffers[3],
                   epilogue);
  if (p.activation != None && epilogue == Epilogue::None) activate_result(call, p, call.buffers[3]);
}

}  // namespace pergola
