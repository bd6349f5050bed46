#pragma once

#include <filesystem>
#include <string>

struct Settings {
  std::filesystem::path engine;
  std::string backend;           ///< of an ONNX file; empty: native where it takes the file
  std::filesystem::path input;
  std::filesystem::path output;  ///< empty: none
  std::filesystem::path masks;   ///< empty: none
  std::string codec;             ///< four letters; empty: by the suffix of `output`
  double alpha = 0.5;
  bool legend = true;  ///< names and colours below the overlay
  bool strict = false;  ///< a file that lacks frames is an error
  long limit = 0;   ///< frames; 0: all
  int contexts = 0;  ///< inferences at a time; 0: by the kind of `engine`
  int threads = 0;  ///< 0: as many as the runtime wants
};

extern const char* const usage;

/// Throws cgnet::UsageError, saying what was wanted.
Settings parse(int argc, const char* const* argv);
