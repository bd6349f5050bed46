// Reads a frame rate and stamps in s, one a line; prints how many frames are missing after each stamp.
#include <cstdio>
#include <iostream>
#include <string>

#include "timeline.hpp"

int main() {
  std::string word;
  std::cin >> word;
  Timeline timeline(std::stod(word));
  while (std::cin >> word) {
    timeline.place(std::stod(word));
    std::printf("%ld\n", timeline.missing());
  }
}
