#pragma once

#include "gradwire/array.hpp"
#include "gradwire/codec.hpp"
#include "gradwire/error.hpp"
#include "gradwire/frame.hpp"
#include "gradwire/gradient.hpp"
#include "gradwire/runtime.hpp"
#include "gradwire/shared_code_book.hpp"
#include "gradwire/sparsify.hpp"
