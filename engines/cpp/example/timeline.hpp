// Which frames of a file are missing by their time stamps: Python's video/timeline.py, where the rules are explained.
#pragma once

#include <map>

/// Numbers from 0, or the least, to the greatest so far, and which of them have not come.
class Slots {
 public:
  bool fill(long slot);  ///< whether it is new
  long missing() const noexcept { return missing_; }

 private:
  void skip(long start, long stop);

  std::map<long, long> gaps_;  // start to stop of each, none touching another
  long least_ = 0;
  long end_ = 0;
  long missing_ = 0;
};

class Timeline {
 public:
  explicit Timeline(double fps) : fps_(fps) {}

  void place(double stamp_s);  ///< of the next frame; 0 behind others is none, or a recording begins there
  long missing() const;        ///< 0 where the rate changes: nobody can say then

 private:
  void settle(double stamp_s);
  void follow(double stamp_s);

  double fps_;
  double last_s_ = 0;
  long count_ = 0;
  long steady_ = 0;     // steps of one period
  long uneven_ = 0;     // of no whole number of periods
  long unstamped_ = 0;  // the latest
  long slot_ = 0;
  long before_ = 0;  // missing of the recordings before
  Slots slots_;
};
