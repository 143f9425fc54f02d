#include "cublaslt.h"

#include <dlfcn.h>
#include <library_types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "device.h"
#include "errors.h"
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
// Of A, B, C and D, one after the other.
constexpr int kPreferenceAlignment = 5;
constexpr int kOperationN = 0;
constexpr int kOperationT = 1;
constexpr uint32_t kEpilogueDefault = 1;
constexpr uint32_t kEpilogueRelu = 2;
constexpr uint32_t kEpilogueBias = 4;
constexpr uint32_t kEpilogueGelu = 32;

constexpr size_t kWorkspaceBytes = size_t{32} << 20;
constexpr int kCandidates = 16;
constexpr int kTimedRounds = 4;
// Calls of a candidate in a round where one takes less than so many milliseconds; longer ones need no repetition.
constexpr int kTimedRuns = 5;
constexpr float kShortMs = 0.5f;
// Candidates that took longer than the best by this factor are not timed again.
constexpr float kStillPromising = 1.2f;
// Alignment in bytes beyond which no algorithm asks for more.
constexpr uint32_t kMaxAlignment = 256;
// Sequences of ever-changing lengths must not fill the host's memory.
constexpr size_t kMaxPlans = 1024;

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
  int (*check_algorithm)(Handle, MatmulDesc, MatrixLayout, MatrixLayout, MatrixLayout, MatrixLayout, const Algorithm*,
                         HeuristicResult*) = nullptr;
  // By ordinal: a handle belongs to the device that was current when it was made.
  std::map<int, Handle> handles;
};

template <typename Function>
bool resolve(void* file, const char* name, Function& target) {
  target = reinterpret_cast<Function>(dlsym(file, name));
  return target != nullptr;
}

void* open_file() {
  const char* given = std::getenv("PERGOLA_CUBLASLT");
  if (given != nullptr && *given != '\0') return dlopen(given, RTLD_NOW | RTLD_LOCAL);
  static const char* const places[] = {
      "libcublasLt.so.13",
      "libcublasLt.so.12",
      "/usr/local/cuda/lib64/libcublasLt.so.13",
      "/usr/local/cuda/lib64/libcublasLt.so.12",
      "/usr/local/cuda/targets/x86_64-linux/lib/libcublasLt.so.13",
      "/usr/local/cuda/targets/x86_64-linux/lib/libcublasLt.so.12",
      "/usr/local/cuda-13/lib64/libcublasLt.so.13",
      "/usr/local/cuda-13.0/lib64/libcublasLt.so.13",
      "/usr/local/cuda-12/lib64/libcublasLt.so.12",
      "/usr/lib/x86_64-linux-gnu/libcublasLt.so.13",
      "/usr/lib/x86_64-linux-gnu/libcublasLt.so.12",
  };
  for (const char* place : places) {
    if (void* file = dlopen(place, RTLD_NOW | RTLD_LOCAL)) return file;
  }
  return nullptr;
}

Library open_library() {
  Library library;
  void* file = open_file();
  if (file == nullptr) {
    library.reason =
        "libcublasLt was not found in the loader's path or under /usr/local/cuda: install the CUDA libraries, or name "
        "the file in PERGOLA_CUBLASLT";
    return library;
  }
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
      resolve(file, "cublasLtMatmulAlgoCheck", library.check_algorithm) &&
      resolve(file, "cublasLtMatmul", library.matmul);
  if (complete) library.file = file;
  else library.reason = "libcublasLt was found but lacks functions of its version 12";
  return library;
}

Library& library() {
  static Library& instance = *new Library(open_library());
  return instance;
}

void check_blas(int status, const char* what) {
  if (status != 0) throw std::runtime_error(std::string("cuBLASLt ") + what + " failed with status " + std::to_string(status));
}

// The handle of the current device, made when it is first needed.
Handle handle_of(Library& lt, int ordinal) {
  Handle& handle = lt.handles[ordinal];
  if (handle == nullptr) check_blas(lt.create(&handle), "handle");
  return handle;
}

cudaDataType_t data_type(int32_t dtype) { return dtype == F16 ? CUDA_R_16F : dtype == BF16 ? CUDA_R_16BF : CUDA_R_32F; }

// A product's descriptors and, once it is chosen, its algorithm.
struct Plan {
  Library& lt;
  MatmulDesc desc = nullptr;
  MatrixLayout a = nullptr, b = nullptr, d = nullptr;
  Algorithm algorithm{};
  bool chosen = false;

  explicit Plan(Library& lt) : lt(lt) {}
  ~Plan() {
    if (desc != nullptr) lt.desc_destroy(desc);
    for (MatrixLayout layout : {a, b, d}) {
      if (layout != nullptr) lt.layout_destroy(layout);
    }
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
};

// What tells products apart: m first, then everything else.
using Key = std::array<int64_t, 20>;

// Powers of two, up to 256, that addresses are multiples of.
struct Alignments {
  uint32_t a, b, d;
};

uint32_t alignment_of(const void* address) {
  const auto bits = reinterpret_cast<uintptr_t>(address) | kMaxAlignment;
  return static_cast<uint32_t>(bits & (~bits + 1));
}

Key key_of(const Product& p, Epilogue epilogue, bool bias, const Alignments& aligned, int ordinal) {
  return {p.m,        p.n,        p.k,        p.lda,  p.ldb,   p.a_transposed, p.b_transposed,
          p.batch,    p.a_stride, p.b_stride, p.d_stride, p.dtype, p.tf32,     static_cast<int64_t>(epilogue),
          bias,       aligned.a,  aligned.b,  aligned.d,  ordinal, 0};
}

// Products that share an algorithm: numbers of rows from one eighth of a power of two to the next are alike. Without
// this, every sequence length would be measured anew.
Key family_of(Key key) {
  const int64_t rows = key[0];
  int64_t step = 1;
  while (step * 16 <= rows) step *= 2;
  key[0] = (rows + step - 1) / step * step;
  // Distances between matrices follow from the rows.
  for (int field : {8, 9, 10}) key[field] = key[field] != 0;
  return key;
}

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
std::unique_ptr<Plan> make_plan(Library& lt, const Product& p, Epilogue epilogue, bool bias) {
  auto plan = std::make_unique<Plan>(lt);
  const cudaDataType_t type = data_type(p.dtype);
  const int compute = p.dtype == F32 && p.tf32 != 0 ? kCompute32FFastTf32 : kCompute32F;
  check_blas(lt.desc_create(&plan->desc, compute, CUDA_R_32F), "descriptor");
  const int first = p.b_transposed ? kOperationT : kOperationN;
  const int second = p.a_transposed ? kOperationT : kOperationN;
  check_blas(lt.desc_set(plan->desc, kDescTransA, &first, sizeof first), "transpose");
  check_blas(lt.desc_set(plan->desc, kDescTransB, &second, sizeof second), "transpose");
  uint32_t code = epilogue == Epilogue::Relu ? kEpilogueRelu : epilogue == Epilogue::GeluTanh ? kEpilogueGelu : 0;
  if (bias) code |= kEpilogueBias;
  if (code == 0) code = kEpilogueDefault;
  check_blas(lt.desc_set(plan->desc, kDescEpilogue, &code, sizeof code), "epilogue");
  if (bias) {
    const int bias_type = type;
    check_blas(lt.desc_set(plan->desc, kDescBiasType, &bias_type, sizeof bias_type), "bias type");
  }
  plan->a = p.b_transposed ? make_layout(lt, type, p.k, p.n, p.ldb, p.batch, p.b_stride)
                           : make_layout(lt, type, p.n, p.k, p.ldb, p.batch, p.b_stride);
  plan->b = p.a_transposed ? make_layout(lt, type, p.m, p.k, p.lda, p.batch, p.a_stride)
                           : make_layout(lt, type, p.k, p.m, p.lda, p.batch, p.a_stride);
  plan->d = make_layout(lt, type, p.n, p.m, p.n, p.batch, p.d_stride);
  return plan;
}

// Algorithms for a product, the most promising first.
std::vector<HeuristicResult> find_candidates(Library& lt, Handle handle, const Plan& plan, const Alignments& aligned) {
  Preference preference = nullptr;
  check_blas(lt.preference_create(&preference), "preference");
  int status = lt.preference_set(preference, kPreferenceWorkspace, &kWorkspaceBytes, sizeof kWorkspaceBytes);
  const uint32_t alignments[] = {aligned.b, aligned.a, aligned.d, aligned.d};
  for (int operand = 0; operand < 4 && status == 0; operand++) {
    status = lt.preference_set(preference, kPreferenceAlignment + operand, &alignments[operand], sizeof(uint32_t));
  }
  std::vector<HeuristicResult> candidates(kCandidates);
  int found = 0;
  if (status == 0) {
    status = lt.heuristic(handle, plan.desc, plan.a, plan.b, plan.d, plan.d, preference, kCandidates,
                          candidates.data(), &found);
  }
  lt.preference_destroy(preference);
  check_blas(status, "heuristic");
  if (found == 0) throw std::runtime_error("cuBLASLt offers no algorithm for this product");
  candidates.resize(found);
  return candidates;
}

// Times work on a stream; the events are gone when it is.
class Stopwatch {
 public:
  explicit Stopwatch(cudaStream_t stream) : stream_(stream) {
    check(cudaEventCreate(&start_), "event");
    check(cudaEventCreate(&stop_), "event");
  }
  ~Stopwatch() {
    if (start_ != nullptr) cudaEventDestroy(start_);
    if (stop_ != nullptr) cudaEventDestroy(stop_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  void start() { check(cudaEventRecord(start_, stream_), "event"); }
  float stop() {
    float ms = 0.f;
    check(cudaEventRecord(stop_, stream_), "event");
    check(cudaEventSynchronize(stop_), "event");
    check(cudaEventElapsedTime(&ms, start_, stop_), "event");
    return ms;
  }

 private:
  cudaStream_t stream_;
  cudaEvent_t start_ = nullptr;
  cudaEvent_t stop_ = nullptr;
};

// The fastest of the candidates. `run` enqueues the product on a stream by an algorithm and returns its status.
//
// The clocks of an idle chip rise while the first candidates run, so all run once before any is timed, and those that
// come close to the best are timed in turns.
template <typename Run>
Algorithm fastest(const std::vector<HeuristicResult>& candidates, cudaStream_t stream, Run run) {
  struct Timed {
    const Algorithm* algorithm;
    float ms;
  };
  std::vector<Timed> left;
  for (const HeuristicResult& candidate : candidates) {
    if (run(candidate.algorithm, stream) == 0) left.push_back({&candidate.algorithm, INFINITY});
  }
  if (left.empty()) throw std::runtime_error("cuBLASLt ran none of its algorithms for this product");
  Stopwatch watch(stream);
  const auto time = [&](const Algorithm& algorithm, int runs) {
    watch.start();
    for (int r = 0; r < runs; r++) run(algorithm, stream);
    return watch.stop();
  };
  const int runs = time(*left.front().algorithm, 1) < kShortMs ? kTimedRuns : 1;
  for (int round = 0; round < kTimedRounds && left.size() > 1; round++) {
    for (Timed& timed : left) timed.ms = std::min(timed.ms, time(*timed.algorithm, runs));
    std::sort(left.begin(), left.end(), [](const Timed& x, const Timed& y) { return x.ms < y.ms; });
    const float limit = left.front().ms * kStillPromising;
    while (left.back().ms > limit) left.pop_back();
  }
  return *left.front().algorithm;
}

// Plans by product and algorithms by family, shared by all devices of the process.
struct Chosen {
  std::mutex guard;
  std::map<Key, std::unique_ptr<Plan>> plans;
  std::map<Key, Algorithm> algorithms;
};

// Never destroyed: at the end of the process the library may be gone before it.
Chosen& chosen() {
  static Chosen& instance = *new Chosen;
  return instance;
}

}  // namespace

bool cublaslt_available(std::string* reason) {
  const Library& lt = library();
  if (reason != nullptr) *reason = lt.reason;
  return lt.file != nullptr;
}

void cublaslt_product(Device& device, cudaStream_t stream, const Product& p, const void* a, const void* b,
                      const void* bias, void* d, Epilogue epilogue) {
  Library& lt = library();
  if (lt.file == nullptr) throw Unsupported(lt.reason);
  Chosen& all = chosen();
  const std::lock_guard<std::mutex> lock(all.guard);
  const Handle handle = handle_of(lt, device.ordinal());
  // An algorithm that needs an aligned result reads the bias in the same units.
  const uint32_t aligned_d = std::min(alignment_of(d), bias != nullptr ? alignment_of(bias) : kMaxAlignment);
  const Alignments aligned{alignment_of(a), alignment_of(b), aligned_d};
  const Key key = key_of(p, epilogue, bias != nullptr, aligned, device.ordinal());
  auto at = all.plans.find(key);
  if (at == all.plans.end()) {
    if (all.plans.size() >= kMaxPlans) all.plans.clear();
    at = all.plans.emplace(key, make_plan(lt, p, epilogue, bias != nullptr)).first;
  }
  Plan& plan = *at->second;
  if (bias != nullptr) check_blas(lt.desc_set(plan.desc, kDescBiasPointer, &bias, sizeof bias), "bias");
  void* workspace = device.workspace(kWorkspaceBytes);
  const float one = 1.f, zero = 0.f;
  const auto run = [&](const Algorithm& algorithm, cudaStream_t on) {
    return lt.matmul(handle, plan.desc, &one, b, plan.a, a, plan.b, &zero, d, plan.d, d, plan.d, &algorithm, workspace,
                     kWorkspaceBytes, on);
  };
  if (!plan.chosen) {
    const Key family = family_of(key);
    const auto known = all.algorithms.find(family);
    HeuristicResult result{};
    const bool fits = known != all.algorithms.end() &&
                      lt.check_algorithm(handle, plan.desc, plan.a, plan.b, plan.d, plan.d, &known->second, &result) == 0 &&
                      result.workspace_bytes <= kWorkspaceBytes;
    if (fits) {
      plan.algorithm = known->second;
    } else {
      plan.algorithm = fastest(find_candidates(lt, handle, plan, aligned), device.timing_stream(), run);
      all.algorithms[family] = plan.algorithm;
    }
    plan.chosen = true;
  }
  check_blas(run(plan.algorithm, stream), "matmul");
}

}  // namespace pergola
