// How a driver ends: an Error with its own exit code and one line, what else is thrown with 65, a wrong call with 64.
#pragma once

#include <exception>
#include <iostream>

#include <cgnet/segmenter.hpp>

/// `run(argv)` if there are `words` words behind the program's name.
inline int guarded(int (*run)(char**), int words, int argc, char** argv) {
  if (argc != 1 + words) return 64;
  try {
    return run(argv);
  } catch (const cgnet::Error& error) {
    std::cerr << error.what() << '\n';
    return error.exit_code();
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 65;
  }
}
