// cuBLASLt, opened at run time: dense products with bias and activation epilogues, one measured algorithm per shape.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <string>

namespace pergola {

class Device;

// D = activation(op(A) op(B) + bias) in the row-major sense of the catalogue: D [m, n], A [m, k], B [k, n].
struct Product {
  int32_t m, n, k;
  // Leading dimensions in elements and whether the operand is stored transposed.
  int32_t lda, ldb;
  int32_t a_transposed, b_transposed;
  int32_t batch;
  // Elements from one matrix of the batch to the next; 0 repeats the same matrix.
  int64_t a_stride, b_stride, d_stride;
  // dtype code of launcher.h; operands and result share it.
  int32_t dtype;
  // 1 allows TF32 for f32 operands; full precision otherwise.
  int32_t tf32;
};

// What cuBLASLt adds after the product.
enum class Epilogue : int32_t { None = 0, Relu = 1, GeluTanh = 2 };

// True when the library was found; `reason` says where it was looked for otherwise. PERGOLA_CUBLASLT names its file.
bool cublaslt_available(std::string* reason);

// Enqueues the product. The first call of a shape times the candidates, on a stream of its own while a step is captured.
// Throws Unsupported without the library.
void cublaslt_product(Device& device, cudaStream_t stream, const Product& product, const void* a, const void* b,
                      const void* bias, void* d, Epilogue epilogue);

}  // namespace pergola
