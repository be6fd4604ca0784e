#include "base/executor.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <stdexcept>
#include <string>

#include "gradwire/runtime.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define GRADWIRE_HAS_FORK 1
#endif

namespace gradwire {
namespace {

std::atomic<int> default_threads{0};
std::atomic<bool> in_forked_child{false};

#ifdef GRADWIRE_HAS_FORK
const int fork_handler = pthread_atfork(nullptr, nullptr, [] { in_forked_child = true; });
#endif

}  // namespace

void set_threads(int n) {
  if (n < 0) {
    throw std::invalid_argument("threads must be 0 (automatic) or positive, not " +
                                std::to_string(n));
  }
  default_threads = n;
}

int get_threads() { return usable_threads(0); }

bool has_openmp() {
#ifdef _OPENMP
  return true;
#else
  return false;
#endif
}

int usable_threads(int requested) {
  if (requested < 0) {
    throw std::invalid_argument("threads must be 0 (automatic) or positive, not " +
                                std::to_string(requested));
  }
#ifdef _OPENMP
  if (in_forked_child) return 1;
  if (requested == 0) requested = default_threads;
  return requested == 0 ? omp_get_max_threads() : requested;
#else
  return 1;
#endif
}

void for_each(std::size_t count, int threads, const std::function<void(std::size_t)>& body) {
  threads = static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(threads), count));
  if (threads <= 1 || !has_openmp()) {
    for (std::size_t i = 0; i < count; ++i) body(i);
    return;
  }
#ifdef _OPENMP
  // An exception that leaves an OpenMP region terminates the process, so the first one is carried
  // out.
  std::exception_ptr first;
  std::atomic<bool> failed{false};
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(count); ++i) {
    if (failed) continue;
    try {
      body(static_cast<std::size_t>(i));
    } catch (...) {
      if (!failed.exchange(true)) first = std::current_exception();
    }
  }
  if (first) std::rethrow_exception(first);
#endif
}

}  // namespace gradwire
