#include "tensor_map.h"

#include <cuda_runtime.h>

#include "launcher.h"

namespace pergola {
namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

// The driver's function; it is not linked, so that the addon loads without a driver.
Encode find_encode() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  const cudaError_t status =
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found);
  return status == cudaSuccess && found == cudaDriverEntryPointSuccess ? reinterpret_cast<Encode>(function) : nullptr;
}

CUtensorMapSwizzle swizzle_of(int box_width) {
  return box_width == 64   ? CU_TENSOR_MAP_SWIZZLE_128B
         : box_width == 32 ? CU_TENSOR_MAP_SWIZZLE_64B
                           : CU_TENSOR_MAP_SWIZZLE_32B;
}

}  // namespace

bool describe_head_rows(CUtensorMap& map, const HeadRows& x, int box_width, int box_rows) {
  static const Encode encode = find_encode();
  // Maps of nothing are refused with an error that tools report.
  if (encode == nullptr || x.rows == 0 || x.heads == 0) return false;
  const auto bytes = [](int32_t elements) { return static_cast<cuuint64_t>(elements) * 2; };
  const cuuint64_t extents[3] = {static_cast<cuuint64_t>(x.dim), static_cast<cuuint64_t>(x.rows),
                                 static_cast<cuuint64_t>(x.heads)};
  const cuuint64_t strides[2] = {bytes(x.row_stride), bytes(x.head_stride)};
  const cuuint32_t box[3] = {static_cast<cuuint32_t>(box_width), static_cast<cuuint32_t>(box_rows), 1};
  const cuuint32_t steps[3] = {1, 1, 1};
  const CUtensorMapDataType type = x.dtype == F16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  return encode(&map, type, 3, const_cast<void*>(x.base), extents, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                swizzle_of(box_width), CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

}  // namespace pergola
