#include "timeline.hpp"

#include <cmath>
#include <iterator>

namespace {

constexpr double most_s = 1e9;   // a stamp beyond is none, and may have more periods than fit in a number
constexpr double fall_s = 1.0;   // less is jitter
constexpr double head_s = 0.25;  // before the first frame; less is the encoder's delay
constexpr double steady = 0.25;  // of a period, by which a step may differ from it
constexpr double uneven = 0.2;   // of the steps, which may be no whole number of periods

}  // namespace

bool Slots::fill(long slot) {
  if (slot >= end_) {
    skip(end_, slot);
    end_ = slot + 1;
    return true;
  }
  if (slot < least_) {
    skip(slot + 1, least_);
    least_ = slot;
    return true;
  }
  auto gap = gaps_.upper_bound(slot);
  if (gap == gaps_.begin()) return false;
  gap = std::prev(gap);
  const auto [start, stop] = *gap;
  if (slot >= stop) return false;
  gaps_.erase(gap);
  missing_ -= stop - start;
  skip(start, slot);
  skip(slot + 1, stop);
  return true;
}

void Slots::skip(long start, long stop) {
  if (start >= stop) return;
  gaps_.emplace(start, stop);
  missing_ += stop - start;
}

long Timeline::missing() const {
  const long steps = count_ - 1;
  const bool constant = 3 * steady_ >= 2 * steps && static_cast<double>(uneven_) <= uneven * static_cast<double>(steps);
  return constant ? before_ + slots_.missing() : 0;
}

void Timeline::place(double stamp_s) {
  if (!(std::abs(stamp_s) <= most_s)) stamp_s = last_s_;  // NaN too
  ++count_;
  if (count_ == 1) {
    slot_ = stamp_s >= head_s ? std::lround(stamp_s * fps_) : 0;
    slots_.fill(slot_);
  } else if (stamp_s == 0) {
    ++unstamped_;
    return;
  } else {
    settle(stamp_s);
    follow(stamp_s);
  }
  last_s_ = stamp_s;
}

void Timeline::settle(double stamp_s) {
  const long number = unstamped_;
  unstamped_ = 0;
  if (number == 0) return;
  if (stamp_s < last_s_) {
    follow(0);
    last_s_ = 0;
  } else {
    for (long one = 1; one <= number; ++one) slots_.fill(slot_ + one);
  }
}

void Timeline::follow(double stamp_s) {
  const double periods = (stamp_s - last_s_) * fps_;
  if (std::abs(periods - 1) <= steady) ++steady_;
  if (std::abs(periods - std::round(periods)) > steady) ++uneven_;
  slot_ += std::lround(periods);  // step by step: a nominal rate that is a little off adds up to nothing
  if (slots_.fill(slot_) || last_s_ - stamp_s <= fall_s) return;
  before_ += slots_.missing();  // it was there before: another recording
  slots_ = Slots();
  slot_ = 0;
  slots_.fill(0);
}
