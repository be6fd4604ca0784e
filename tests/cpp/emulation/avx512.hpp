#pragma once

// The names of the AVX-512 intrinsics that kernels use, for functions that do the same without that
// instruction set. A file that is built without it includes this header before the kernels.

#include "operations.hpp"

// Some of these are macros in clang.
#undef _mm512_load_si512
#undef _mm512_loadu_si512
#undef _mm512_loadu_ps
#undef _mm512_storeu_si512
#undef _mm512_storeu_ps
#undef _mm512_mask_storeu_epi8
#undef _mm512_set1_epi8
#undef _mm512_set1_epi16
#undef _mm512_set1_epi32
#undef _mm512_set1_epi64
#undef _mm512_set1_ps
#undef _mm512_setr_epi32
#undef _mm512_setzero_si512
#undef _mm512_castsi128_si512
#undef _mm512_castsi256_si512
#undef _mm512_castps256_ps512
#undef _mm512_castsi512_si128
#undef _mm512_castsi512_si256
#undef _mm512_castps_si512
#undef _mm512_extracti64x4_epi64
#undef _mm512_insertf32x8
#undef _mm512_broadcast_i32x4
#undef _mm512_add_epi8
#undef _mm512_add_epi16
#undef _mm512_add_epi32
#undef _mm512_add_epi64
#undef _mm512_add_ps
#undef _mm512_sub_epi8
#undef _mm512_sub_epi16
#undef _mm512_sub_epi64
#undef _mm512_subs_epu8
#undef _mm512_mul_ps
#undef _mm512_mullo_epi32
#undef _mm512_mullo_epi64
#undef _mm512_min_ps
#undef _mm512_max_ps
#undef _mm512_min_epu8
#undef _mm512_min_epu32
#undef _mm512_max_epi8
#undef _mm512_max_epi16
#undef _mm512_max_epu32
#undef _mm512_and_si512
#undef _mm512_or_si512
#undef _mm512_xor_si512
#undef _mm512_ternarylogic_epi32
#undef _mm512_ternarylogic_epi64
#undef _mm512_slli_epi32
#undef _mm512_srli_epi16
#undef _mm512_srli_epi32
#undef _mm512_srli_epi64
#undef _mm512_srai_epi32
#undef _mm512_sllv_epi16
#undef _mm512_sllv_epi32
#undef _mm512_sllv_epi64
#undef _mm512_srlv_epi32
#undef _mm512_srlv_epi64
#undef _mm512_rol_epi32
#undef _mm512_shldi_epi32
#undef _mm512_maddubs_epi16
#undef _mm512_maskz_dpbusd_epi32
#undef _mm512_sad_epu8
#undef _mm512_reduce_add_epi64
#undef _mm512_reduce_max_epu32
#undef _mm512_clmulepi64_epi128
#undef _mm512_mask_mov_epi8
#undef _mm512_maskz_mov_epi8
#undef _mm512_maskz_mov_ps
#undef _mm512_mask_blend_ps
#undef _mm512_mask_sub_epi8
#undef _mm512_mask_sub_epi16
#undef _mm512_maskz_compress_epi8
#undef _mm512_mask_expand_epi8
#undef _mm512_maskz_expand_epi8
#undef _mm512_cmpeq_epi8_mask
#undef _mm512_cmpneq_epi8_mask
#undef _mm512_cmpneq_epi16_mask
#undef _mm512_cmpneq_epi32_mask
#undef _mm512_cmpneq_epi64_mask
#undef _mm512_cmpge_epu8_mask
#undef _mm512_cmpge_epu16_mask
#undef _mm512_cmpgt_epu64_mask
#undef _mm512_mask_cmpge_epu16_mask
#undef _mm512_mask_cmpgt_epu64_mask
#undef _mm512_test_epi8_mask
#undef _mm512_test_epi32_mask
#undef _mm512_test_epi64_mask
#undef _mm512_testn_epi8_mask
#undef _mm512_movepi8_mask
#undef _mm512_movepi32_mask
#undef _mm512_permutexvar_epi8
#undef _mm512_permutexvar_epi16
#undef _mm512_permutex2var_epi8
#undef _mm512_shuffle_epi8
#undef _mm512_unpacklo_epi8
#undef _mm512_unpackhi_epi8
#undef _mm512_unpacklo_epi64
#undef _mm512_unpackhi_epi64
#undef _mm512_maskz_unpacklo_epi8
#undef _mm512_maskz_unpackhi_epi8
#undef _mm512_maskz_unpacklo_epi16
#undef _mm512_maskz_unpackhi_epi16
#undef _mm512_maskz_alignr_epi64
#undef _mm512_cvtepu8_epi16
#undef _mm512_cvtepu8_epi32
#undef _mm512_cvtepi16_epi8
#undef _mm512_cvtepi32_epi8
#undef _mm512_cvtepi64_epi8
#undef _mm512_cvttps_epi32

#define __m512i emulated::Vector
#define __m512 emulated::Vector
#define _mm512_load_si512 emulated::load
#define _mm512_loadu_si512 emulated::load
#define _mm512_loadu_ps emulated::load
#define _mm512_storeu_si512 emulated::store
#define _mm512_storeu_ps emulated::store
#define _mm512_mask_storeu_epi8 emulated::store_some<uint8_t>
#define _mm512_set1_epi8 emulated::all<int8_t>
#define _mm512_set1_epi16 emulated::all<int16_t>
#define _mm512_set1_epi32 emulated::all<int32_t>
#define _mm512_set1_epi64 emulated::all<int64_t>
#define _mm512_set1_ps emulated::all<float>
#define _mm512_setr_epi32 emulated::in_order<int32_t>
#define _mm512_setzero_si512 emulated::Vector
#define _mm512_castsi128_si512 emulated::widened
#define _mm512_castsi256_si512 emulated::widened
#define _mm512_castps256_ps512 emulated::widened
#define _mm512_castsi512_si128 emulated::lowest<__m128i>
#define _mm512_castsi512_si256 emulated::lowest<__m256i>
#define _mm512_castps_si512 emulated::same
#define _mm512_extracti64x4_epi64 emulated::half
#define _mm512_insertf32x8 emulated::with_half
#define _mm512_broadcast_i32x4 emulated::four_times
#define _mm512_add_epi8 emulated::add<uint8_t>
#define _mm512_add_epi16 emulated::add<uint16_t>
#define _mm512_add_epi32 emulated::add<uint32_t>
#define _mm512_add_epi64 emulated::add<uint64_t>
#define _mm512_add_ps emulated::add<float>
#define _mm512_sub_epi8 emulated::subtract<uint8_t>
#define _mm512_sub_epi16 emulated::subtract<uint16_t>
#define _mm512_sub_epi64 emulated::subtract<uint64_t>
#define _mm512_subs_epu8 emulated::subtract_at_most<uint8_t>
#define _mm512_mul_ps emulated::multiply<float>
#define _mm512_mullo_epi32 emulated::multiply<uint32_t>
#define _mm512_mullo_epi64 emulated::multiply<uint64_t>
#define _mm512_min_ps emulated::smaller<float>
#define _mm512_max_ps emulated::larger<float>
#define _mm512_min_epu8 emulated::smaller<uint8_t>
#define _mm512_min_epu32 emulated::smaller<uint32_t>
#define _mm512_max_epi8 emulated::larger<int8_t>
#define _mm512_max_epi16 emulated::larger<int16_t>
#define _mm512_max_epu32 emulated::larger<uint32_t>
#define _mm512_and_si512 emulated::bits_and
#define _mm512_or_si512 emulated::bits_or
#define _mm512_xor_si512 emulated::bits_xor
#define _mm512_ternarylogic_epi32 emulated::ternary
#define _mm512_ternarylogic_epi64 emulated::ternary
#define _mm512_slli_epi32 emulated::left<uint32_t>
#define _mm512_srli_epi16 emulated::right<uint16_t>
#define _mm512_srli_epi32 emulated::right<uint32_t>
#define _mm512_srli_epi64 emulated::right<uint64_t>
#define _mm512_srai_epi32 emulated::right_signed
#define _mm512_sllv_epi16 emulated::left_by<uint16_t>
#define _mm512_sllv_epi32 emulated::left_by<uint32_t>
#define _mm512_sllv_epi64 emulated::left_by<uint64_t>
#define _mm512_srlv_epi32 emulated::right_by<uint32_t>
#define _mm512_srlv_epi64 emulated::right_by<uint64_t>
#define _mm512_rol_epi32 emulated::rotated
#define _mm512_shldi_epi32 emulated::funnel_left
#define _mm512_maddubs_epi16 emulated::multiply_add_pairs
#define _mm512_maskz_dpbusd_epi32 emulated::multiply_add_fours
#define _mm512_sad_epu8 emulated::sum_of_differences
#define _mm512_reduce_add_epi64 emulated::sum_of_lanes<int64_t>
#define _mm512_reduce_max_epu32 emulated::largest_lane<uint32_t>
#define _mm512_clmulepi64_epi128 emulated::carryless
#define _mm512_mask_mov_epi8 emulated::chosen_or<uint8_t>
#define _mm512_maskz_mov_epi8 emulated::chosen_or_0<uint8_t>
#define _mm512_maskz_mov_ps emulated::chosen_or_0<float>
#define _mm512_mask_blend_ps emulated::blend<float>
#define _mm512_mask_sub_epi8 emulated::subtract_or<uint8_t>
#define _mm512_mask_sub_epi16 emulated::subtract_or<uint16_t>
#define _mm512_maskz_compress_epi8 emulated::compress<uint8_t>
#define _mm512_mask_expand_epi8 emulated::expand_or<uint8_t>
#define _mm512_maskz_expand_epi8 emulated::expand<uint8_t>
#define _mm512_cmpeq_epi8_mask emulated::equal<uint8_t>
#define _mm512_cmpneq_epi8_mask emulated::differs<uint8_t>
#define _mm512_cmpneq_epi16_mask emulated::differs<uint16_t>
#define _mm512_cmpneq_epi32_mask emulated::differs<uint32_t>
#define _mm512_cmpneq_epi64_mask emulated::differs<uint64_t>
#define _mm512_cmpge_epu8_mask emulated::at_least<uint8_t>
#define _mm512_cmpge_epu16_mask emulated::at_least<uint16_t>
#define _mm512_cmpgt_epu64_mask emulated::above<uint64_t>
#define _mm512_mask_cmpge_epu16_mask emulated::at_least_of<uint16_t>
#define _mm512_mask_cmpgt_epu64_mask emulated::above_of<uint64_t>
#define _mm512_test_epi8_mask emulated::any_common<uint8_t>
#define _mm512_test_epi32_mask emulated::any_common<uint32_t>
#define _mm512_test_epi64_mask emulated::any_common<uint64_t>
#define _mm512_testn_epi8_mask emulated::none_common<uint8_t>
#define _mm512_movepi8_mask emulated::signs<int8_t>
#define _mm512_movepi32_mask emulated::signs<int32_t>
#define _mm512_permutexvar_epi8 emulated::looked_up<uint8_t>
#define _mm512_permutexvar_epi16 emulated::looked_up<uint16_t>
#define _mm512_permutex2var_epi8 emulated::looked_up_in_two
#define _mm512_shuffle_epi8 emulated::shuffle
#define _mm512_unpacklo_epi8 emulated::unpack<uint8_t, false>
#define _mm512_unpackhi_epi8 emulated::unpack<uint8_t, true>
#define _mm512_unpacklo_epi64 emulated::unpack<uint64_t, false>
#define _mm512_unpackhi_epi64 emulated::unpack<uint64_t, true>
#define _mm512_maskz_unpacklo_epi8 emulated::unpack_some<uint8_t, false>
#define _mm512_maskz_unpackhi_epi8 emulated::unpack_some<uint8_t, true>
#define _mm512_maskz_unpacklo_epi16 emulated::unpack_some<uint16_t, false>
#define _mm512_maskz_unpackhi_epi16 emulated::unpack_some<uint16_t, true>
#define _mm512_maskz_alignr_epi64 emulated::align_some
#define _mm512_cvtepu8_epi16 emulated::widen<uint8_t, uint16_t>
#define _mm512_cvtepu8_epi32 emulated::widen<uint8_t, uint32_t>
#define _mm512_cvtepi16_epi8 emulated::narrow<uint16_t, uint8_t, __m256i>
#define _mm512_cvtepi32_epi8 emulated::narrow<uint32_t, uint8_t, __m128i>
#define _mm512_cvtepi64_epi8 emulated::narrow<uint64_t, uint8_t, __m128i>
#define _mm512_cvttps_epi32 emulated::truncated
