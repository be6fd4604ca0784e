#pragma once

#include <cstddef>
#include <functional>

namespace gradwire {

/// How many threads a call may use: `requested`, or the process-wide default if it is 0. Always 1
/// without OpenMP, and in a forked child, where libgomp would hang. Throws std::invalid_argument if
/// `requested` is negative.
int usable_threads(int requested);

/// Runs body(i) once for each i in [0, count), on at most `threads` threads, in any order. Results
/// must not depend on the thread count. After an exception, no further calls begin; the first
/// exception is rethrown when all threads have finished.
void for_each(std::size_t count, int threads, const std::function<void(std::size_t)>& body);

}  // namespace gradwire
