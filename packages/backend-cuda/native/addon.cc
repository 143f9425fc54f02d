// N-API surface: devices, memory, transfers, launches by name, captured graphs and timing. No op lives here.
#include <cuda_runtime.h>
#include <napi.h>

#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "device.h"
#include "launcher.h"

namespace pergola {

namespace {

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

// Runs `body`, translating C++ exceptions into JavaScript ones.
template <typename Body>
auto guarded(Napi::Env env, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const OutOfMemory& error) {
    throw_with_code(env, error.what(), "OUT_OF_MEMORY");
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw_with_code(env, error.what(), "CUDA");
  }
}

// Addresses travel as doubles: device addresses stay below 2^53.
void* to_pointer(double address) { return reinterpret_cast<void*>(static_cast<uintptr_t>(address)); }
double to_number(void* pointer) { return static_cast<double>(reinterpret_cast<uintptr_t>(pointer)); }

// Waits for an event off the main thread, then resolves with the bytes copied into pinned memory.
class DownloadWorker : public Napi::AsyncWorker {
 public:
  DownloadWorker(Napi::Env env, Napi::Promise::Deferred deferred, int ordinal, cudaEvent_t done, void* host,
                 size_t bytes)
      : AsyncWorker(env), deferred_(deferred), ordinal_(ordinal), done_(done), host_(host), bytes_(bytes) {}

  void Execute() override {
    cudaSetDevice(ordinal_);
    status_ = cudaEventSynchronize(done_);
  }
  void OnOK() override {
    Napi::HandleScope scope(Env());
    if (status_ != cudaSuccess) {
      release();
      Napi::Error error = Napi::Error::New(Env(), std::string("waiting for the device: ") + cudaGetErrorString(status_));
      error.Set("code", Napi::String::New(Env(), "CUDA"));
      deferred_.Reject(error.Value());
      return;
    }
    Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(Env(), bytes_);
    if (bytes_ > 0) std::memcpy(buffer.Data(), host_, bytes_);
    release();
    deferred_.Resolve(Napi::Uint8Array::New(Env(), bytes_, buffer, 0));
  }

 private:
  void release() {
    cudaEventDestroy(done_);
    if (host_ != nullptr) cudaFreeHost(host_);
  }
  Napi::Promise::Deferred deferred_;
  int ordinal_;
  cudaEvent_t done_;
  void* host_;
  size_t bytes_;
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

  explicit DeviceHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<DeviceHandle>(info) {
    const int ordinal = info[0].As<Napi::Number>().Int32Value();
    guarded(info.Env(), [&] { device_ = std::make_unique<Device>(ordinal); });
  }

 private:
  Device& open(Napi::Env env) {
    if (device_ == nullptr) throw_with_code(env, "the device was disposed", "DISPOSED");
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
      void* host = nullptr;
      if (bytes > 0) {
        check(cudaMallocHost(&host, bytes), "pinned memory");
        check(cudaMemcpyAsync(host, to_pointer(info[0].As<Napi::Number>().DoubleValue()), bytes,
                              cudaMemcpyDeviceToHost, device.stream()),
              "download");
      }
      cudaEvent_t done;
      check(cudaEventCreateWithFlags(&done, cudaEventDisableTiming | cudaEventBlockingSync), "event");
      check(cudaEventRecord(done, device.stream()), "event");
      auto deferred = Napi::Promise::Deferred::New(info.Env());
      (new DownloadWorker(info.Env(), deferred, device.ordinal(), done, host, bytes))->Queue();
      return deferred.Promise();
    });
  }

  // launch(launcher, addresses: Float64Array, params: Uint8Array)
  void Launch(const Napi::CallbackInfo& info) {
    const int id = info[0].As<Napi::Number>().Int32Value();
    try {
      Device& device = open(info.Env());
      const Napi::Float64Array addresses = info[1].As<Napi::Float64Array>();
      const Napi::Uint8Array params = info[2].As<Napi::Uint8Array>();
      void* buffers[24];
      const int count = static_cast<int>(addresses.ElementLength());
      if (count > 24) throw std::runtime_error("more than 24 buffers");
      for (int i = 0; i < count; i++) buffers[i] = to_pointer(addresses[i]);
      registry().launchers.at(id)(
          Call{device, device.stream(), buffers, count, params.Data(), params.ByteLength()});
    } catch (const OutOfMemory& error) {
      throw_with_code(info.Env(), registry().names.at(id) + ": " + error.what(), "OUT_OF_MEMORY");
    } catch (const Napi::Error&) {
      throw;
    } catch (const std::exception& error) {
      throw_with_code(info.Env(), registry().names.at(id) + ": " + error.what(), "CUDA");
    }
  }

  Napi::Value Pooled(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(open(info.Env()).pooled_bytes()));
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
    const size_t nodes = open(info.Env()).graph_nodes(info[0].As<Napi::Number>().Int32Value());
    return Napi::Number::New(info.Env(), static_cast<double>(nodes));
  }
  void DestroyGraph(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] { open(info.Env()).destroy_graph(info[0].As<Napi::Number>().Int32Value()); });
  }

  // markTime(slot) records one of two timing events; elapsedMs() waits for both and subtracts.
  void MarkTime(const Napi::CallbackInfo& info) {
    guarded(info.Env(), [&] {
      const int slot = info[0].As<Napi::Number>().Int32Value() & 1;
      if (marks_[slot] == nullptr) check(cudaEventCreate(&marks_[slot]), "event");
      check(cudaEventRecord(marks_[slot], open(info.Env()).stream()), "event");
    });
  }
  Napi::Value ElapsedMs(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      float ms = 0;
      check(cudaEventSynchronize(marks_[1]), "event");
      check(cudaEventElapsedTime(&ms, marks_[0], marks_[1]), "event");
      return Napi::Number::New(info.Env(), ms);
    });
  }

  Napi::Value Info(const Napi::CallbackInfo& info) {
    const cudaDeviceProp& properties = open(info.Env()).properties();
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("name", properties.name);
    result.Set("major", properties.major);
    result.Set("minor", properties.minor);
    result.Set("multiprocessors", properties.multiProcessorCount);
    result.Set("totalBytes", static_cast<double>(properties.totalGlobalMem));
    return result;
  }

  void Dispose(const Napi::CallbackInfo&) {
    for (cudaEvent_t& mark : marks_) {
      if (mark != nullptr) cudaEventDestroy(mark);
      mark = nullptr;
    }
    device_.reset();
  }

  std::unique_ptr<Device> device_;
  cudaEvent_t marks_[2] = {nullptr, nullptr};
};

// probe(): { count, reason }: how many devices there are and, when none, why.
Napi::Value Probe(const Napi::CallbackInfo& info) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("count", status == cudaSuccess ? count : 0);
  result.Set("reason", status == cudaSuccess ? "" : cudaGetErrorString(status));
  cudaGetLastError();
  return result;
}

// launcher(name): the id to launch by, or -1.
Napi::Value FindLauncher(const Napi::CallbackInfo& info) {
  const auto found = registry().ids.find(info[0].As<Napi::String>().Utf8Value());
  return Napi::Number::New(info.Env(), found == registry().ids.end() ? -1 : found->second);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("probe", Napi::Function::New(env, Probe));
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
