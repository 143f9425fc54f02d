// N-API surface: devices, memory, transfers, launches by name, captured graphs and timing. No op lives here.
#include <cuda_runtime.h>
#include <napi.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cublaslt.h"
#include "device.h"
#include "errors.h"
#include "launcher.h"

namespace pergola {

namespace {

// Inputs and outputs of the launcher with the most of them.
constexpr size_t kMaxBuffers = 24;

struct Registry {
  std::unordered_map<std::string, int> ids;
  std::vector<Launcher> launchers;
  std::vector<std::string> names;
};

Registry& registry() {
  static Registry instance;
  return instance;
}

// Errors that the TypeScript side turns into its own classes carry a `code`.
[[noreturn]] void throw_with_code(Napi::Env env, const std::string& message, const char* code) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  throw error;
}

// Runs `body`, translating C++ exceptions into JavaScript ones. `prefix` goes before their text.
template <typename Body>
auto guarded(Napi::Env env, const std::string& prefix, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const OutOfMemory& error) {
    throw_with_code(env, prefix + error.what(), "OUT_OF_MEMORY");
  } catch (const Unsupported& error) {
    throw_with_code(env, prefix + error.what(), "UNSUPPORTED");
  } catch (const CudaError& error) {
    throw_with_code(env, prefix + error.what(), error.lost() ? "LOST" : "CUDA");
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw_with_code(env, prefix + error.what(), "CUDA");
  }
}

template <typename Body>
auto guarded(Napi::Env env, Body body) -> decltype(body()) {
  return guarded(env, "", body);
}

// Kernels run behind the host's back: their errors show up in a later call.
constexpr const char* kBlame = "; an op before it may be the cause, which a device opened with development: true names";

// Addresses travel as doubles: device addresses stay below 2^53.
void* to_pointer(double address) { return reinterpret_cast<void*>(static_cast<uintptr_t>(address)); }
double to_number(void* pointer) { return static_cast<double>(reinterpret_cast<uintptr_t>(pointer)); }

// A copy to the host under way, in pieces: owns their events and the pinned memory that the bytes arrive in.
struct Arrival {
  struct Piece {
    cudaEvent_t done;
    // Null where there is nothing to copy, only to wait for.
    void* host;
    size_t bytes;
  };

  explicit Arrival(std::shared_ptr<PinnedCache> cache) : cache(std::move(cache)) {}
  ~Arrival() {
    for (const Piece& piece : pieces) release(piece);
  }
  Arrival(const Arrival&) = delete;
  Arrival& operator=(const Arrival&) = delete;

  // Enqueues the copy of the next `bytes`, a piece at the most.
  void add(const void* source, size_t bytes, cudaStream_t stream) {
    pieces.push_back({nullptr, bytes > 0 ? cache->take(bytes) : nullptr, bytes});
    Piece& piece = pieces.back();
    if (bytes > 0) check(cudaMemcpyAsync(piece.host, source, bytes, cudaMemcpyDeviceToHost, stream), "download");
    check(cudaEventCreateWithFlags(&piece.done, cudaEventDisableTiming | cudaEventBlockingSync), "download");
    check(cudaEventRecord(piece.done, stream), "download");
  }

  // Waits for each piece, moves it to `target` and gives its memory back.
  cudaError_t collect(void* target) {
    auto* to = static_cast<uint8_t*>(target);
    while (!pieces.empty()) {
      const Piece piece = pieces.front();
      const cudaError_t status = cudaEventSynchronize(piece.done);
      if (status != cudaSuccess) return status;
      if (piece.bytes > 0) std::memcpy(to, piece.host, piece.bytes);
      to += piece.bytes;
      pieces.pop_front();
      release(piece);
    }
    return cudaSuccess;
  }

 private:
  void release(const Piece& piece) const {
    if (piece.done != nullptr) cudaEventDestroy(piece.done);
    if (piece.host != nullptr) cache->give(piece.host);
  }

  std::shared_ptr<PinnedCache> cache;
  std::deque<Piece> pieces;
};

// Waits for a copy and moves its bytes into an array buffer off the main thread, then resolves with them.
class DownloadWorker : public Napi::AsyncWorker {
 public:
  DownloadWorker(Napi::Env env, int ordinal, std::unique_ptr<Arrival> arrival, size_t bytes)
      : AsyncWorker(env, "pergola download"),
        deferred_(Napi::Promise::Deferred::New(env)),
        ordinal_(ordinal),
        arrival_(std::move(arrival)),
        bytes_(bytes) {
    const Napi::ArrayBuffer target = Napi::ArrayBuffer::New(env, bytes);
    data_ = bytes > 0 ? const_cast<Napi::ArrayBuffer&>(target).Data() : nullptr;
    // Held until the promise has it: the collector must not take what another thread writes to.
    target_ = Napi::Persistent(target);
  }

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override {
    status_ = cudaSetDevice(ordinal_);
    if (status_ == cudaSuccess) status_ = arrival_->collect(data_);
    cudaGetLastError();
    arrival_.reset();
  }

  void OnOK() override {
    Napi::HandleScope scope(Env());
    if (status_ == cudaSuccess) {
      deferred_.Resolve(Napi::Uint8Array::New(Env(), bytes_, target_.Value(), 0));
      return;
    }
    const CudaError failure(status_, "");
    Napi::Error error = Napi::Error::New(Env(), std::string("waiting for the device: ") + cudaGetErrorName(status_) +
                                                    " (" + cudaGetErrorString(status_) + ")" + kBlame);
    error.Set("code", Napi::String::New(Env(), failure.lost() ? "LOST" : "CUDA"));
    deferred_.Reject(error.Value());
  }

 private:
  Napi::Promise::Deferred deferred_;
  int ordinal_;
  std::unique_ptr<Arrival> arrival_;
  size_t bytes_;
  void* data_ = nullptr;
  Napi::Reference<Napi::ArrayBuffer> target_;
  cudaError_t status_ = cudaSuccess;
};

class DeviceHandle : public Napi::ObjectWrap<DeviceHandle> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeDevice",
                       {InstanceMethod<&DeviceHandle::Allocate>("allocate"),
                        InstanceMethod<&DeviceHandle::Free>("free"),
                        InstanceMethod<&DeviceHandle::Upload>("upload"),
                        InstanceMethod<&DeviceHandle::Download>("download"),
                        InstanceMethod<&DeviceHandle::Launch>("launch"),
                        InstanceMethod<&DeviceHandle::Pooled>("pooledBytes"),
                        InstanceMethod<&DeviceHandle::Trim>("trim"),
                        InstanceMethod<&DeviceHandle::BeginCapture>("beginCapture"),
                        InstanceMethod<&DeviceHandle::EndCapture>("endCapture"),
                        InstanceMethod<&DeviceHandle::AbortCapture>("abortCapture"),
                        InstanceMethod<&DeviceHandle::LaunchGraph>("launchGraph"),
                        InstanceMethod<&DeviceHandle::GraphNodes>("graphNodes"),
                        InstanceMethod<&DeviceHandle::DestroyGraph>("destroyGraph"),
                        InstanceMethod<&DeviceHandle::MarkTime>("markTime"),
                        InstanceMethod<&DeviceHandle::ElapsedMs>("elapsedMs"),
                        InstanceMethod<&DeviceHandle::Info>("info"),
                        InstanceMethod<&DeviceHandle::Dispose>("dispose")});
  }

  // new NativeDevice(ordinal, development)
  explicit DeviceHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<DeviceHandle>(info) {
    const int ordinal = info[0].As<Napi::Number>().Int32Value();
    const bool development = info[1].ToBoolean().Value();
    guarded(info.Env(), [&] { device_ = std::make_unique<Device>(ordinal, development); });
  }

 private:
  Device& open(Napi::Env env) {
    if (device_ == nullptr) throw_with_code(env, "the device was disposed", "DISPOSED");
    device_->activate();
    return *device_;
  }

  Napi::Value Allocate(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      void* address = open(info.Env()).allocate(static_cast<size_t>(info[0].As<Napi::Number>().DoubleValue()));
      return Napi::Number::New(info.Env(), to_number(address));
    });
  }

  void Free(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { open(info.Env()).free(to_pointer(info[0].As<Napi::Number>().DoubleValue())); });
  }

  void Upload(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      const Napi::Uint8Array source = info[1].As<Napi::Uint8Array>();
      open(info.Env()).upload(to_pointer(info[0].As<Napi::Number>().DoubleValue()), source.Data(), source.ByteLength());
    });
  }

  // download(address, bytes): Promise<Uint8Array>; zero bytes only waits for the work enqueued so far.
  Napi::Value Download(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      Device& device = open(info.Env());
      const size_t bytes = static_cast<size_t>(info[1].As<Napi::Number>().DoubleValue());
      const auto* source = static_cast<const uint8_t*>(to_pointer(info[0].As<Napi::Number>().DoubleValue()));
      auto arrival = std::make_unique<Arrival>(device.pinned());
      // Pieces of one size are reused by downloads of any size, and one is moved while the next arrives.
      for (size_t at = 0; at == 0 || at < bytes; at += kPinnedPiece) {
        arrival->add(source + at, std::min(kPinnedPiece, bytes - at), device.stream());
      }
      auto* worker = new DownloadWorker(info.Env(), device.ordinal(), std::move(arrival), bytes);
      const Napi::Promise promise = worker->promise();
      worker->Queue();
      return promise;
    });
  }

  // launch(launcher, addresses: Float64Array, params: Uint8Array)
  void Launch(const Napi::CallbackInfo& info) {
    const size_t id = static_cast<size_t>(info[0].As<Napi::Number>().Int64Value());
    if (id >= registry().launchers.size()) throw_with_code(info.Env(), "there is no such launcher", "CUDA");
    const std::string& name = registry().names[id];
    guarded(info.Env(), name + ": ", [&] {
      Device& device = open(info.Env());
      const Napi::Float64Array addresses = info[1].As<Napi::Float64Array>();
      const Napi::Uint8Array params = info[2].As<Napi::Uint8Array>();
      void* buffers[kMaxBuffers];
      const size_t count = addresses.ElementLength();
      if (count > kMaxBuffers) throw std::runtime_error("more buffers than a launcher can have");
      for (size_t i = 0; i < count; i++) buffers[i] = to_pointer(addresses[i]);
      const Call call{device, device.stream(), buffers, static_cast<int>(count), params.Data(), params.ByteLength()};
      try {
        registry().launchers[id](call);
        if (device.development() && !device.capturing()) check(cudaStreamSynchronize(device.stream()), "kernel");
      } catch (const CudaError& error) {
        if (device.development() || !error.lost()) throw;
        throw CudaError(error.status, std::string(error.what()) + kBlame);
      }
    });
  }

  Napi::Value Pooled(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      return Napi::Number::New(info.Env(), static_cast<double>(open(info.Env()).pooled_bytes()));
    });
  }
  void Trim(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { open(info.Env()).trim(); });
  }
  void BeginCapture(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { open(info.Env()).begin_capture(); });
  }
  Napi::Value EndCapture(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      return Napi::Number::New(info.Env(), open(info.Env()).end_capture());
    });
  }
  void AbortCapture(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { open(info.Env()).abort_capture(); });
  }
  void LaunchGraph(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { open(info.Env()).launch_graph(info[0].As<Napi::Number>().Int32Value()); });
  }
  Napi::Value GraphNodes(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      const size_t nodes = open(info.Env()).graph_nodes(info[0].As<Napi::Number>().Int32Value());
      return Napi::Number::New(info.Env(), static_cast<double>(nodes));
    });
  }
  void DestroyGraph(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { open(info.Env()).destroy_graph(info[0].As<Napi::Number>().Int32Value()); });
  }

  // markTime(slot) records one of two timing events; elapsedMs() waits for both and subtracts.
  void MarkTime(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { open(info.Env()).mark_time(info[0].As<Napi::Number>().Int32Value() & 1); });
  }
  Napi::Value ElapsedMs(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      return Napi::Number::New(info.Env(), open(info.Env()).elapsed_ms());
    });
  }

  Napi::Value Info(const Napi::CallbackInfo& info) {
    if (device_ == nullptr) throw_with_code(info.Env(), "the device was disposed", "DISPOSED");
    const cudaDeviceProp& properties = device_->properties();
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("name", properties.name);
    result.Set("major", properties.major);
    result.Set("minor", properties.minor);
    result.Set("multiprocessors", properties.multiProcessorCount);
    result.Set("totalBytes", static_cast<double>(properties.totalGlobalMem));
    return result;
  }

  void Dispose(const Napi::CallbackInfo&) { device_.reset(); }

  std::unique_ptr<Device> device_;
};

// A CUDA version number as people write it.
std::string version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

// Why there are no devices.
std::string probe_reason(cudaError_t status) {
  if (status != cudaErrorInsufficientDriver) return cudaGetErrorString(status);
  int driver = 0;
  cudaDriverGetVersion(&driver);
  if (driver == 0) return "there is no NVIDIA driver";
  return "the NVIDIA driver supports CUDA " + version_text(driver) + ", and " + version_text(CUDART_VERSION) +
         " or later is needed";
}

// probe(): { count, reason }: how many devices there are and, when none, why.
Napi::Value Probe(const Napi::CallbackInfo& info) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("count", status == cudaSuccess ? count : 0);
  result.Set("reason", status == cudaSuccess ? "" : probe_reason(status));
  cudaGetLastError();
  return result;
}

// products(): why there are no matrix products, or an empty text.
Napi::Value Products(const Napi::CallbackInfo& info) {
  std::string reason;
  cublaslt_available(&reason);
  return Napi::String::New(info.Env(), reason);
}

// launcher(name): the id to launch by, or -1.
Napi::Value FindLauncher(const Napi::CallbackInfo& info) {
  const auto found = registry().ids.find(info[0].As<Napi::String>().Utf8Value());
  return Napi::Number::New(info.Env(), found == registry().ids.end() ? -1 : found->second);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("probe", Napi::Function::New(env, Probe));
  exports.Set("products", Napi::Function::New(env, Products));
  exports.Set("launcher", Napi::Function::New(env, FindLauncher));
  exports.Set("NativeDevice", DeviceHandle::define(env));
  return exports;
}

}  // namespace

Registration::Registration(const char* name, Launcher launcher) {
  Registry& all = registry();
  all.ids[name] = static_cast<int>(all.launchers.size());
  all.launchers.push_back(launcher);
  all.names.push_back(name);
}

}  // namespace pergola

static Napi::Object InitModule(Napi::Env env, Napi::Object exports) { return pergola::Init(env, exports); }
NODE_API_MODULE(pergola_cuda, InitModule)
