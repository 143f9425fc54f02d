#include "cublaslt.h"

#include <dlfcn.h>
#include <library_types.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "device.h"
#include "launcher.h"

namespace pergola {
namespace {

// The few declarations of the cuBLASLt ABI that are used; the toolkit's headers are not needed to build.
using Handle = void*;
using MatmulDesc = void*;
using MatrixLayout = void*;
using Preference = void*;
struct Algorithm {
  uint64_t data[8];
};
struct HeuristicResult {
  Algorithm algorithm;
  size_t workspace_bytes;
  int state;
  float waves;
  int reserved[4];
};

constexpr int kCompute32F = 68;
constexpr int kCompute32FFastTf32 = 77;
constexpr int kDescTransA = 3;
constexpr int kDescTransB = 4;
constexpr int kDescEpilogue = 7;
constexpr int kDescBiasPointer = 8;
constexpr int kDescBiasType = 26;
constexpr int kLayoutBatchCount = 5;
constexpr int kLayoutBatchStride = 6;
constexpr int kPreferenceWorkspace = 1;
constexpr int kOperationN = 0;
constexpr int kOperationT = 1;
constexpr uint32_t kEpilogueDefault = 1;
constexpr uint32_t kEpilogueRelu = 2;
constexpr uint32_t kEpilogueBias = 4;
constexpr uint32_t kEpilogueGelu = 32;

constexpr size_t kWorkspaceBytes = size_t{32} << 20;
constexpr int kCandidates = 8;
constexpr int kTimedRuns = 5;

struct Library {
  void* file = nullptr;
  std::string reason;
  int (*create)(Handle*) = nullptr;
  int (*desc_create)(MatmulDesc*, int, cudaDataType_t) = nullptr;
  int (*desc_set)(MatmulDesc, int, const void*, size_t) = nullptr;
  int (*desc_destroy)(MatmulDesc) = nullptr;
  int (*layout_create)(MatrixLayout*, cudaDataType_t, uint64_t, uint64_t, int64_t) = nullptr;
  int (*layout_set)(MatrixLayout, int, const void*, size_t) = nullptr;
  int (*layout_destroy)(MatrixLayout) = nullptr;
  int (*preference_create)(Preference*) = nullptr;
  int (*preference_set)(Preference, int, const void*, size_t) = nullptr;
  int (*preference_destroy)(Preference) = nullptr;
  int (*heuristic)(Handle, MatmulDesc, MatrixLayout, MatrixLayout, MatrixLayout, MatrixLayout, Preference, int,
                   HeuristicResult*, int*) = nullptr;
  int (*matmul)(Handle, MatmulDesc, const void*, const void*, MatrixLayout, const void*, MatrixLayout, const void*,
                const void*, MatrixLayout, void*, MatrixLayout, const Algorithm*, void*, size_t, cudaStream_t) = nullptr;
  Handle handle = nullptr;
};

template <typename Function>
bool resolve(void* file, const char* name, Function& target) {
  target = reinterpret_cast<Function>(dlsym(file, name));
  return target != nullptr;
}

Library open_library() {
  Library library;
  static const char* const places[] = {
      "libcublasLt.so.13",
      "libcublasLt.so.12",
      "/usr/local/cuda/targets/x86_64-linux/lib/libcublasLt.so.13",
      "/usr/local/cuda/lib64/libcublasLt.so.13",
      "/usr/local/cuda-13.0/targets/x86_64-linux/lib/libcublasLt.so.13",
      "/usr/local/cuda-12/lib64/libcublasLt.so.12",
      "/usr/lib/x86_64-linux-gnu/libcublasLt.so.12",
  };
  for (const char* place : places) {
    library.file = dlopen(place, RTLD_NOW | RTLD_LOCAL);
    if (library.file != nullptr) break;
  }
  if (library.file == nullptr) {
    library.reason = "libcublasLt was not found in the loader's path or under /usr/local/cuda; install the CUDA libraries";
    return library;
  }
  void* file = library.file;
  const bool complete =
      resolve(file, "cublasLtCreate", library.create) &&
      resolve(file, "cublasLtMatmulDescCreate", library.desc_create) &&
      resolve(file, "cublasLtMatmulDescSetAttribute", library.desc_set) &&
      resolve(file, "cublasLtMatmulDescDestroy", library.desc_destroy) &&
      resolve(file, "cublasLtMatrixLayoutCreate", library.layout_create) &&
      resolve(file, "cublasLtMatrixLayoutSetAttribute", library.layout_set) &&
      resolve(file, "cublasLtMatrixLayoutDestroy", library.layout_destroy) &&
      resolve(file, "cublasLtMatmulPreferenceCreate", library.preference_create) &&
      resolve(file, "cublasLtMatmulPreferenceSetAttribute", library.preference_set) &&
      resolve(file, "cublasLtMatmulPreferenceDestroy", library.preference_destroy) &&
      resolve(file, "cublasLtMatmulAlgoGetHeuristic", library.heuristic) &&
      resolve(file, "cublasLtMatmul", library.matmul);
  if (!complete || library.create(&library.handle) != 0) {
    library.reason = "libcublasLt was found but could not be initialised";
    library.handle = nullptr;
  }
  return library;
}

Library& library() {
  static Library instance = open_library();
  return instance;
}

void check_blas(int status, const char* what) {
  if (status != 0) throw std::runtime_error(std::string("cuBLASLt ") + what + " failed with status " + std::to_string(status));
}

cudaDataType_t data_type(int32_t dtype) { return dtype == F16 ? CUDA_R_16F : dtype == BF16 ? CUDA_R_16BF : CUDA_R_32F; }

// A product's descriptors and its chosen algorithm; kept for the life of the process.
struct Plan {
  MatmulDesc desc = nullptr;
  MatrixLayout a = nullptr, b = nullptr, d = nullptr;
  std::vector<HeuristicResult> candidates;
  int chosen = 0;
  bool measured = false;
};

using Key = std::tuple<int, int, int, int, int, int, int, int, int, int64_t, int64_t, int64_t, int, int, int, bool>;

MatrixLayout make_layout(Library& lt, cudaDataType_t type, int rows, int columns, int leading, int batch, int64_t stride) {
  MatrixLayout layout = nullptr;
  check_blas(lt.layout_create(&layout, type, rows, columns, leading), "layout");
  if (batch > 1) {
    check_blas(lt.layout_set(layout, kLayoutBatchCount, &batch, sizeof batch), "batch count");
    check_blas(lt.layout_set(layout, kLayoutBatchStride, &stride, sizeof stride), "batch stride");
  }
  return layout;
}

// cuBLASLt is column-major: the row-major D [m, n] is its D' [n, m] = op(B') op(A'), so the operands change places.
Plan make_plan(Library& lt, const Product& p, Epilogue epilogue, bool bias) {
  Plan plan;
  const cudaDataType_t type = data_type(p.dtype);
  const int compute = p.dtype == F32 && p.tf32 != 0 ? kCompute32FFastTf32 : kCompute32F;
  check_blas(lt.desc_create(&plan.desc, compute, CUDA_R_32F), "descriptor");
  const int first = p.b_transposed ? kOperationT : kOperationN;
  const int second = p.a_transposed ? kOperationT : kOperationN;
  check_blas(lt.desc_set(plan.desc, kDescTransA, &first, sizeof first), "transpose");
  check_blas(lt.desc_set(plan.desc, kDescTransB, &second, sizeof second), "transpose");
  uint32_t code = epilogue == Epilogue::Relu ? kEpilogueRelu : epilogue == Epilogue::GeluTanh ? kEpilogueGelu : 0;
  if (bias) code |= kEpilogueBias;
  if (code == 0) code = kEpilogueDefault;
  check_blas(lt.desc_set(plan.desc, kDescEpilogue, &code, sizeof code), "epilogue");
  if (bias) {
    const int bias_type = type;
    check_blas(lt.desc_set(plan.desc, kDescBiasType, &bias_type, sizeof bias_type), "bias type");
  }
  plan.a = p.b_transposed ? make_layout(lt, type, p.k, p.n, p.ldb, p.batch, p.b_stride)
                          : make_layout(lt, type, p.n, p.k, p.ldb, p.batch, p.b_stride);
  plan.b = p.a_transposed ? make_layout(lt, type, p.m, p.k, p.lda, p.batch, p.a_stride)
                          : make_layout(lt, type, p.k, p.m, p.lda, p.batch, p.a_stride);
  plan.d = make_layout(lt, type, p.n, p.m, p.n, p.batch, p.d_stride);
  Preference preference = nullptr;
  check_blas(lt.preference_create(&preference), "preference");
  check_blas(lt.preference_set(preference, kPreferenceWorkspace, &kWorkspaceBytes, sizeof kWorkspaceBytes), "workspace");
  plan.candidates.resize(kCandidates);
  int found = 0;
  const int status = lt.heuristic(lt.handle, plan.desc, plan.a, plan.b, plan.d, plan.d, preference, kCandidates,
                                  plan.candidates.data(), &found);
  lt.preference_destroy(preference);
  check_blas(status, "heuristic");
  plan.candidates.resize(found);
  if (found == 0) throw std::runtime_error("cuBLASLt offers no algorithm for this product");
  return plan;
}

}  // namespace

bool cublaslt_available(std::string* reason) {
  const Library& lt = library();
  if (reason != nullptr) *reason = lt.reason;
  return lt.handle != nullptr;
}

void cublaslt_product(Device& device, cudaStream_t stream, const Product& p, const void* a, const void* b,
                      const void* bias, void* d, Epilogue epilogue) {
  Library& lt = library();
  if (lt.handle == nullptr) throw std::runtime_error(lt.reason);
  static std::map<Key, Plan> plans;
  static std::mutex guard;
  const std::lock_guard<std::mutex> lock(guard);
  const Key key{p.m,       p.n,        p.k,        p.lda,      p.ldb,   p.a_transposed,
                p.b_transposed, p.batch, p.dtype, p.a_stride, p.b_stride, p.d_stride,
                p.tf32,    static_cast<int>(epilogue), device.ordinal(), bias != nullptr};
  auto at = plans.find(key);
  if (at == plans.end()) at = plans.emplace(key, make_plan(lt, p, epilogue, bias != nullptr)).first;
  Plan& plan = at->second;
  if (bias != nullptr) check_blas(lt.desc_set(plan.desc, kDescBiasPointer, &bias, sizeof bias), "bias");
  void* workspace = device.workspace(kWorkspaceBytes);
  const float one = 1.f, zero = 0.f;
  const auto run = [&](const HeuristicResult& candidate) {
    return lt.matmul(lt.handle, plan.desc, &one, b, plan.a, a, plan.b, &zero, d, plan.d, d, plan.d, &candidate.algorithm,
                     workspace, kWorkspaceBytes, stream);
  };
  if (!plan.measured && !device.capturing()) {
    cudaEvent_t start, stop;
    check(cudaEventCreate(&start), "event");
    check(cudaEventCreate(&stop), "event");
    float best = 0.f;
    bool any = false;
    for (size_t i = 0; i < plan.candidates.size(); i++) {
      if (run(plan.candidates[i]) != 0) continue;
      check(cudaEventRecord(start, stream), "event");
      for (int r = 0; r < kTimedRuns; r++) run(plan.candidates[i]);
      check(cudaEventRecord(stop, stream), "event");
      check(cudaEventSynchronize(stop), "event");
      float ms = 0.f;
      check(cudaEventElapsedTime(&ms, start, stop), "event");
      if (!any || ms < best) {
        best = ms;
        plan.chosen = static_cast<int>(i);
        any = true;
      }
    }
    cudaEventDestroy(start);
    cudaEventDestroy(stop);
    if (!any) throw std::runtime_error("cuBLASLt ran none of its algorithms for this product");
    plan.measured = true;
  }
  check_blas(run(plan.candidates[plan.chosen]), "matmul");
}

}  // namespace pergola
