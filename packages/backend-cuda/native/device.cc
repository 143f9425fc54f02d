#include "device.h"

#include <stdexcept>

#include "errors.h"

namespace pergola {

Graph::~Graph() {
  if (exec != nullptr) cudaGraphExecDestroy(exec);
}

Device::Device(int ordinal, bool development)
    : ordinal_(ordinal), development_(development), pool_(development, nullptr) {
  activate();
  check(cudaGetDeviceProperties(&properties_, ordinal), "cudaGetDeviceProperties");
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
}

Device::~Device() {
  cudaSetDevice(ordinal_);
  abort_capture();
  cudaStreamSynchronize(stream_);
  for (cudaEvent_t event : {before_capture_, marks_[0], marks_[1]}) {
    if (event != nullptr) cudaEventDestroy(event);
  }
  graphs_.clear();
  retired_.clear();
  if (side_stream_ != nullptr) cudaStreamDestroy(side_stream_);
  cudaStreamDestroy(stream_);
  // The device may be lost; nothing of that is left for whoever uses the thread next.
  cudaGetLastError();
}

void Device::activate() const { check(cudaSetDevice(ordinal_), "cudaSetDevice"); }

void* Device::allocate(size_t bytes) {
  return capture_ != nullptr ? capture_->pool->allocate(bytes) : pool_.allocate(bytes);
}

void Device::free(void* address) {
  if (capture_ != nullptr && capture_->pool->free(address)) return;
  if (pool_.free(address)) return;
  for (auto& [id, graph] : graphs_) {
    if (graph->pool->free(address)) return;
  }
  for (auto pool = retired_.begin(); pool != retired_.end(); ++pool) {
    if (!(*pool)->free(address)) continue;
    // Its destructor's cudaFree waits for work that still uses the block.
    if ((*pool)->live_bytes() == 0) retired_.erase(pool);
    return;
  }
}

void Device::retire(std::unique_ptr<Pool> pool) {
  if (pool->live_bytes() > 0) retired_.push_back(std::move(pool));
}

size_t Device::pooled_bytes() const {
  size_t bytes = pool_.pooled_bytes();
  for (const auto& [id, graph] : graphs_) bytes += graph->pool->pooled_bytes();
  for (const auto& pool : retired_) bytes += pool->pooled_bytes();
  return bytes;
}

void Device::upload(void* target, const void* source, size_t bytes) {
  if (bytes == 0) return;
  if (!capturing()) return staging_.upload(target, source, bytes, stream_);
  capture_->uploads.push_back(std::make_unique<PinnedCopy>(source, bytes));
  check(cudaMemcpyAsync(target, capture_->uploads.back()->host, bytes, cudaMemcpyHostToDevice, stream_), "upload");
}

void* Device::workspace(size_t bytes) {
  if (capture_ != nullptr) {
    // The block returns to the graph's own pool at once: later captured work is ordered behind this call.
    void* block = capture_->pool->allocate(bytes);
    capture_->pool->free(block);
    return block;
  }
  if (bytes > workspace_bytes_ || development_) {
    if (workspace_ != nullptr) pool_.free(workspace_);
    workspace_ = nullptr;
    workspace_bytes_ = 0;
    workspace_ = pool_.allocate(bytes);
    workspace_bytes_ = bytes;
  }
  return workspace_;
}

void Device::allow_shared(const void* kernel, int bytes) {
  if (shared_allowed_.count(kernel) > 0) return;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), "shared memory");
  shared_allowed_.insert(kernel);
}

cudaStream_t Device::timing_stream() {
  if (!capturing()) return stream_;
  if (side_stream_ == nullptr) {
    check(cudaStreamCreateWithFlags(&side_stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  }
  // Work from before the capture would be timed as well.
  check(cudaEventSynchronize(before_capture_), "cudaEventSynchronize");
  return side_stream_;
}

void Device::begin_capture() {
  if (capturing()) throw std::runtime_error("a step is already being captured");
  if (before_capture_ == nullptr) {
    check(cudaEventCreateWithFlags(&before_capture_, cudaEventDisableTiming), "cudaEventCreate");
  }
  check(cudaEventRecord(before_capture_, stream_), "begin capture");
  auto graph = std::make_unique<Graph>();
  graph->pool = std::make_unique<Pool>(development_, &pool_);
  // Relaxed: the graph's pool calls cudaMalloc while the stream is in capture mode.
  check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed), "begin capture");
  capture_ = std::move(graph);
}

int Device::end_capture() {
  if (!capturing()) throw std::runtime_error("no step is being captured");
  auto entry = std::move(capture_);
  cudaGraph_t graph = nullptr;
  cudaError_t status = cudaStreamEndCapture(stream_, &graph);
  if (status == cudaSuccess) status = cudaGraphInstantiate(&entry->exec, graph, 0);
  if (status == cudaSuccess) status = cudaGraphGetNodes(graph, nullptr, &entry->nodes);
  if (graph != nullptr) cudaGraphDestroy(graph);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    retire(std::move(entry->pool));
    throw OutOfMemory("no room for the graph of a recorded step");
  }
  if (status != cudaSuccess) {
    retire(std::move(entry->pool));
    check(status, "end capture");
  }
  const int id = next_graph_++;
  graphs_.emplace(id, std::move(entry));
  return id;
}

void Device::abort_capture() {
  if (!capturing()) return;
  cudaGraph_t graph = nullptr;
  cudaStreamEndCapture(stream_, &graph);
  if (graph != nullptr) cudaGraphDestroy(graph);
  cudaGetLastError();
  const auto entry = std::move(capture_);
  retire(std::move(entry->pool));
}

void Device::launch_graph(int id) {
  const auto at = graphs_.find(id);
  if (at == graphs_.end()) throw std::runtime_error("this recorded step was disposed");
  check(cudaGraphLaunch(at->second->exec, stream_), "replay");
  if (development_) check(cudaStreamSynchronize(stream_), "replay");
}

size_t Device::graph_nodes(int id) const {
  const auto at = graphs_.find(id);
  return at == graphs_.end() ? 0 : at->second->nodes;
}

void Device::destroy_graph(int id) {
  const auto at = graphs_.find(id);
  if (at == graphs_.end()) return;
  // A replay under way reads the uploads and uses the memory.
  const cudaError_t status = cudaStreamSynchronize(stream_);
  auto entry = std::move(at->second);
  graphs_.erase(at);
  retire(std::move(entry->pool));
  check(status, "destroy graph");
}

void Device::mark_time(int slot) {
  if (marks_[slot] == nullptr) check(cudaEventCreate(&marks_[slot]), "event");
  check(cudaEventRecord(marks_[slot], stream_), "event");
}

float Device::elapsed_ms() {
  if (marks_[0] == nullptr || marks_[1] == nullptr) throw std::runtime_error("both times must be marked first");
  float ms = 0;
  check(cudaEventSynchronize(marks_[1]), "event");
  check(cudaEventElapsedTime(&ms, marks_[0], marks_[1]), "event");
  return ms;
}

}  // namespace pergola
