// Work of a stream, recorded once and replayed by one call. Not yet run on a GPU.
#pragma once

#include "cuda.hpp"

namespace cgnet::cuda {

/// What `work` enqueues on `stream`, as a graph. Where that fails there is none, and `work` is enqueued each time.
///
/// `work` has run once, and was waited for: a first run allocates, which can't be recorded.
template <class Work>
GraphExec recorded(cudaStream_t stream, const Work& work) {
  // Other threads may allocate meanwhile: only this one must not while it records.
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording a graph");
  bool complete = true;
  try {
    work();
  } catch (const Error&) {
    complete = false;
  }
  cudaGraph_t raw = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(stream, &raw);
  const Graph graph(raw);
  cudaGraphExec_t executable = nullptr;
  if (!complete || ended != cudaSuccess || cudaGraphInstantiateWithFlags(&executable, raw, 0) != cudaSuccess) {
    cudaGetLastError();  // clears the error, which the next check would report
    return nullptr;
  }
  return GraphExec(executable);
}

/// Replays the graph, or enqueues `work` where there is none.
template <class Work>
void launch(const GraphExec& graph, cudaStream_t stream, const Work& work) {
  if (graph != nullptr)
    check(cudaGraphLaunch(graph.get(), stream), "launching the graph");
  else
    work();
}

}  // namespace cgnet::cuda
