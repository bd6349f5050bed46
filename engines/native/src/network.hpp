// The network that an ONNX graph describes, as the operators that the engine runs.
//
// An operator is a convolution with everything that follows it per channel, up to where its result is stored:
//
//     f = conv(inputs) + bias;  f = PReLU(f);  f *= gate;  f += trunk;  trunk = f;  out_i = PReLU(scale_i f + shift_i)
//
// A concat is a list of stored results, so it costs nothing; the residual sum is an epilogue of what it adds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "onnx.hpp"

namespace cgnet::native {

// How a result is stored. step: u8 holds round(x / step) + 128; 0: f32. Empty lists: no factor, shift or PReLU.
struct Out {
  std::vector<float> scale, shift, slope;
  float step = 0;

  bool operator==(const Out& other) const {
    return scale == other.scale && shift == other.shift && slope == other.slope && step == other.step;
  }
};

constexpr size_t kMostInputs = 32;  // of a convolution over a concat

struct Source {
  int op, out;
};

// sigmoid(excite relu(squeeze mean + b1) + b2), one for each channel of the operators that it scales together.
struct Gate {
  int channels = 0, hidden = 0;
  std::vector<float> squeeze, squeeze_bias, excite, excite_bias;  // (hidden, channels), (channels, hidden)
};

struct Op {
  // kImage: the first convolution, which reads frames. kMove: channels of a stored result, in other places.
  enum Kind { kImage, kDense, kDepthwise, kPool, kMove } kind = kDense;
  std::string name;
  int channels = 0, kernel = 1, stride = 1, dilation = 1;
  std::vector<Source> inputs;         // a pool's: none (the image), or the pool before it
  std::vector<int> input_channels;    // of each input
  std::vector<float> weight, bias;    // (channels, inputs, kernel, kernel), (channels); in f32, dequantised too
  std::vector<float> weight_step;     // (channels) of int8 weights, empty in f32
  float read_step = 0;                // of the int8 that it reads
  std::vector<float> slope;           // empty: no PReLU
  int gate = -1, gate_channel = 0;    // its gate, and the channel of it that its own begin at
  int trunk = -1, trunk_channel = 0;  // the residual sum that it belongs to
  bool adds = false, keeps = false;   // it adds the trunk to its result; the trunk becomes its result
  std::vector<int> from;              // kMove: which channel of its input each one is; kDepthwise, if not empty: which filter
                                      // each one has, -1 for none
  std::vector<Out> outs;
  int64_t macs = 0;                   // for a pixel of its result
  int level = 0;                      // its result has 1 / 2^level of the frame's rows and columns
};

// Whether the mean of its result, which its gate reads, is the same map of its inputs' means: then nothing but those is
// added up, and it runs once. What follows it, a PReLU, would forbid it.
inline bool averages_inputs(const Op& op) {
  return op.gate >= 0 && op.kind == Op::kDense && op.kernel == 1 && op.slope.empty();
}

struct Network {
  std::vector<Op> ops;
  std::vector<Gate> gates;
  std::vector<int> trunks;            // channels of each
  float mean[3], scale[3];            // network channel i is (frame channel order[i] - mean[i]) * scale[i]
  int order[3];
  int classes = 0;
  Source scores{-1, 0};               // (classes), f32, at level 3
  bool int8 = false;
};

// Throws Error for a graph that is not a CGNet as `cgnet-export --target native` writes it.
Network recognise(const Graph& graph);

// Takes away the filters that no reader weighs and the inputs that a convolution doesn't weigh itself, where that spares
// more than it costs to move the others together and back.
void leave_out_dead(Network& network);

}  // namespace cgnet::native
