// misuse CASE: one call that CUDA or TensorRT refuses, made of the stand-in. stdout: what came back.
//
// Numbers are those of cudaError_t. What a real GPU leaves undefined ends the process.
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

namespace {

namespace trt = nvinfer1;

struct Log final : trt::ILogger {
  void log(Severity, const char*) noexcept override {}
};

/// A stream and memory, as an engine has them, and a network with open sides.
struct Machine {
  explicit Machine(unsigned flags = cudaStreamNonBlocking) {
    cudaStreamCreateWithFlags(&stream, flags);
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    cudaMalloc(&memory, 65536);
    cudaHostAlloc(&pinned, 65536, cudaHostAllocDefault);
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  ~Machine() {
    cudaStreamDestroy(stream);
    cudaEventDestroy(event);
    cudaFree(memory);
    cudaFreeHost(pinned);
  }

  cudaStream_t stream = nullptr;
  cudaEvent_t event = nullptr;
  void* memory = nullptr;
  void* pinned = nullptr;
};

std::string numbers(std::initializer_list<std::int64_t> values) {
  std::string text;
  for (const std::int64_t value : values) text += (text.empty() ? "" : " ") + std::to_string(value);
  return text;
}

std::string numbers(const trt::Dims& dims) {
  std::string text = std::to_string(dims.nbDims) + ":";
  for (int i = 0; i < dims.nbDims; ++i) text += " " + std::to_string(dims.d[i]);
  return text;
}

/// `work` while the machine's stream is recorded: what it gives, and what the recording ends with.
std::string recorded(const std::function<cudaError_t(Machine&)>& work, unsigned flags = cudaStreamNonBlocking) {
  Machine machine(flags);
  cudaStreamBeginCapture(machine.stream, cudaStreamCaptureModeThreadLocal);
  const cudaError_t given = work(machine);
  cudaGraph_t graph = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(machine.stream, &graph);
  if (graph != nullptr) cudaGraphDestroy(graph);
  return numbers({given, ended});
}

cudaError_t allocated() {
  void* more = nullptr;
  const cudaError_t status = cudaMalloc(&more, 256);
  if (status == cudaSuccess) cudaFree(more);
  return status;
}

struct Network {
  explicit Network(const std::string& profile = "1 8 8 1 40 56", const std::string& header = "ftrt") {
    const std::string plan = header + std::string(20, '\0') + std::string("\x0a\x0d\x03\x09") + "frames 4 1 " + profile;
    load(plan);
  }
  void load(const std::string& plan) {
    runtime.reset(trt::createInferRuntime(log));
    engine.reset(runtime->deserializeCudaEngine(plan.data(), plan.size()));
    if (engine != nullptr) context.reset(engine->createExecutionContext());
  }
  bool shaped(std::int64_t height) { return context->setInputShape("given", trt::Dims4(1, height, 56, 3)); }

  Log log;
  std::unique_ptr<trt::IRuntime> runtime;
  std::unique_ptr<trt::ICudaEngine> engine;
  std::unique_ptr<trt::IExecutionContext> context;
};

const std::map<std::string, std::function<std::string()>> cases = {
    {"sound", [] {
       Machine machine;
       Network network;
       const bool shaped = network.shaped(40);
       const bool addressed = network.context->setTensorAddress("given", machine.memory) &&
                              network.context->setTensorAddress("result", static_cast<char*>(machine.memory) + 16384);
       const bool runs = network.context->enqueueV3(machine.stream);
       return numbers({shaped, addressed, runs, cudaStreamSynchronize(machine.stream)});
     }},
    {"version", [] {
       Network network;
       network.context.reset();
       network.load("ftrt" + std::string(20, '\0') + "\x0a\x0d\x03\x08" + "frames 4 1 1 8 8 1 40 56");
       return numbers({network.engine != nullptr});
     }},
    {"RTX's plan", [] { return numbers({Network("1 8 8 1 40 56", "vtrt").engine != nullptr}); }},
    {"short plan", [] {
       Network network;
       network.context.reset();
       network.load("ftrt");
       return numbers({network.engine != nullptr});
     }},
    {"context on another GPU", [] {
       Network network;
       cudaSetDevice(1);
       const std::unique_ptr<trt::IExecutionContext> context(network.engine->createExecutionContext());
       return numbers({context != nullptr});
     }},
    {"stream flags", [] {
       cudaStream_t stream = nullptr;
       return numbers({cudaStreamCreateWithFlags(&stream, 2)});
     }},
    {"allocate", [] { return recorded([](Machine&) { return allocated(); }); }},
    {"pin", [] {
       return recorded([](Machine&) {
         void* more = nullptr;
         return cudaHostAlloc(&more, 256, cudaHostAllocDefault);
       });
     }},
    {"free", [] { return recorded([](Machine& machine) { return cudaFree(machine.memory); }); }},
    {"wait", [] { return recorded([](Machine& machine) { return cudaStreamSynchronize(machine.stream); }); }},
    {"wait for the legacy stream", [] { return recorded([](Machine&) { return cudaStreamSynchronize(nullptr); }); }},
    {"record on the legacy stream", [] {
       return recorded([](Machine& machine) { return cudaEventRecord(machine.event, nullptr); }, cudaStreamDefault);
     }},
    {"copy on the legacy stream", [] {
       return recorded(
           [](Machine& machine) {
             return cudaMemcpyAsync(machine.memory, machine.pinned, 8, cudaMemcpyHostToDevice, nullptr);
           },
           cudaStreamDefault);
     }},
    {"the legacy stream beside one that doesn't wait for it", [] {
       return recorded([](Machine& machine) { return cudaEventRecord(machine.event, nullptr); });
     }},
    {"allocate in another thread", [] {
       return recorded([](Machine&) {
         cudaError_t status = cudaErrorInvalidValue;
         std::thread([&] { status = allocated(); }).join();
         return status;
       });
     }},
    {"end in another thread", [] {
       return recorded([](Machine& machine) {
         cudaError_t status = cudaSuccess;
         std::thread([&] {
           cudaGraph_t graph = nullptr;
           status = cudaStreamEndCapture(machine.stream, &graph);
         }).join();
         return status;
       });
     }},
    {"record the legacy stream", [] {
       return numbers({cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeThreadLocal)});
     }},
    {"global mode", [] {
       Machine machine;
       return numbers({cudaStreamBeginCapture(machine.stream, cudaStreamCaptureModeGlobal)});
     }},
    {"shape", [] {
       Network network;
       const bool first = network.shaped(41), second = network.shaped(40), third = network.shaped(7);
       return numbers({first, second, third}) + ", " + numbers(network.context->getTensorShape("given"));
     }},
    {"no shape", [] {
       Network network;
       Machine machine;
       network.context->setTensorAddress("given", machine.memory);
       network.context->setTensorAddress("result", machine.memory);
       return numbers(network.context->getTensorShape("result")) + ", " +
              numbers({network.context->enqueueV3(machine.stream)});
     }},
    {"no address", [] {
       Network network;
       Machine machine;
       network.shaped(40);
       network.context->setTensorAddress("given", machine.memory);
       return numbers({network.context->enqueueV3(machine.stream)});
     }},
    {"address", [] {
       Network network;
       Machine machine;
       return numbers({network.context->setTensorAddress("given", static_cast<char*>(machine.memory) + 8),
                       network.context->setTensorAddress("labels", machine.memory)});
     }},
    {"run on the legacy stream", [] {
       Network network;
       Machine machine;
       network.shaped(40);
       network.context->setTensorAddress("given", machine.memory);
       network.context->setTensorAddress("result", static_cast<char*>(machine.memory) + 16384);
       return numbers({network.context->enqueueV3(nullptr)});
     }},
    {"profile of a fixed network", [] {
       Network network("1 40 56 1 40 56");
       return numbers(network.engine->getProfileShape("given", 0, trt::OptProfileSelector::kMIN));
     }},
    {"pinned memory", [] {
       Machine machine;
       cudaMemcpyAsync(machine.memory, machine.pinned, 8, cudaMemcpyHostToDevice, machine.stream);
       return numbers({cudaFreeHost(machine.pinned)});
     }},
};

}  // namespace

int main(int argc, char** argv) {
  const auto chosen = argc == 2 ? cases.find(argv[1]) : cases.end();
  if (chosen == cases.end()) return 64;
  std::cout << chosen->second() << '\n';
  return 0;
}
