"""What states of the hook and local steps do: as a dict, and in words."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradwire.exchange.averaging import Averager
from gradwire.exchange.tuner import CHOSEN, COMPRESSED, PLAIN, Tuner
from gradwire.torch.paths import ON_DEVICE, THROUGH_HOST_MEMORY

if TYPE_CHECKING:
    from gradwire.torch.lane import Lane

Report = dict[str, Any]

_LOG = logging.getLogger("gradwire")

MEASURING = "measuring"
CHOSEN_BY_TIME = "chosen by time"
_MOST_LINES = 12  # of buckets in a summary


def report_setup(averager: Averager) -> Report:
    """What does not change."""
    compressor = averager.compressor
    return {
        "ranks": averager.exchange.world_size,
        "algorithm": averager.algorithm,
        "pipeline": repr(compressor.pipeline),
        "codec": compressor.codec.key,
        "memory": repr(compressor.memory),
    }


def report_traffic(averagers: Sequence[Averager], plain: int) -> Report:
    """Bytes and seconds so far; ``plain`` are the bytes sent without compression."""
    traffic = [averager.traffic for averager in averagers]
    raw, sent = sum(t.bytes_raw for t in traffic), sum(t.bytes_sent for t in traffic)
    return {
        "raw_bytes": raw + plain,
        "sent_bytes": sent + plain,
        "ratio": (raw + plain) / (sent + plain) if sent + plain else None,
        "compressed_raw_bytes": raw,
        "compressed_sent_bytes": sent,
        "compressed_ratio": raw / sent if sent else None,
        "compress_seconds": sum(t.compress for t in traffic),
        "exchange_seconds": sum(t.exchange for t in traffic),
        "decompress_seconds": sum(t.decompress for t in traffic),
    }


def report_phase(tuner: Tuner, settled: str | None) -> Report:
    """How far measuring is, and the times of whole steps that decided.

    Args:
        tuner: chooses among the buckets.
        settled: why nothing is measured; None if the tuner measures.
    """
    measured, planned = tuner.progress() or (None, None)
    seconds = tuner.step_seconds
    return {
        "phase": settled or (CHOSEN_BY_TIME if measured is None else MEASURING),
        "measured_steps": measured,
        "planned_steps": planned,
        "plain_step_seconds": seconds.get(PLAIN),
        "compressed_step_seconds": seconds.get(CHOSEN, seconds.get(COMPRESSED)),
    }


def report_buckets(lane: Lane, always_plain: Mapping[int, str], phase: str) -> list[Report]:
    """How each bucket of a lane is sent, why, and the times that decided.

    Args:
        lane: of a state.
        always_plain: why some buckets are never compressed, by index.
        phase: of the state.
    """
    turns = lane.turns
    seconds = {} if turns.tuner is None else turns.tuner.bucket_seconds
    rows = []
    for index, count in lane.buckets.sizes().items():
        compresses = index not in always_plain and turns.compresses(index)
        plain, compressed = seconds.get(turns.key(index), (None, None))
        reason = phase if turns.tuner is not None else "compressed without measuring"
        is_sparse = index in lane.sparse
        rows.append(
            {
                "index": index,
                "elements": None if is_sparse else count,
                "pipeline": repr(lane.averager.compressor.pipeline),
                "sent": COMPRESSED if compresses else PLAIN,
                "path": lane.pipeline.paths.names.get(index) if compresses else None,
                "reason": always_plain.get(index, reason),
                "plain_seconds": plain,
                "compressed_seconds": compressed,
            }
        )
    return rows


def in_words(report: Report) -> str:
    """A report as a few lines of text."""
    lines = [
        "{steps} steps on {ranks} ranks: {algorithm}, {pipeline}, {codec}, {memory}".format(
            **report
        ),
        *("{parameters}: {pipeline}, {codec}, {memory}".format(**rule) for rule in report["rules"]),
        _phase(report),
        *_buckets(report),
        f"compressed buckets: {_less(report, 'compressed_')}; all: {_less(report, '')}",
        _seconds(report),
    ]
    if report["saturated"]:
        lines.append(
            f"{report['saturated']} averaged elements were too large for their dtype and became "
            "its largest number"
        )
    return "\n".join(lines)


def rounds_in_words(report: Report) -> str:
    """A report of a :class:`~gradwire.torch.DiLoCo` as a few lines of text."""
    return "\n".join(
        [
            "{rounds} outer steps after {steps} inner steps on {ranks} ranks: {algorithm}, "
            "{pipeline}, {codec}, {memory}".format(**report),
            f"{_less(report, '')}; sending each gradient in full: {report['full_bytes'] / 1e6:.2f}"
            " MB",
            _seconds(report),
        ]
    )


def log_choice(report: Report) -> None:
    """Logs what the measurements have led to; a warning if nothing is compressed."""
    measured = [bucket for bucket in report["buckets"] if bucket["plain_seconds"] is not None]
    if any(bucket["sent"] == COMPRESSED for bucket in measured):
        _LOG.info("gradwire compresses from step %d on:\n%s", report["steps"], in_words(report))
    else:
        _LOG.warning(
            "gradwire sends all buckets uncompressed from step %d on: %s, which is no sure gain; "
            "fallback=False compresses them nevertheless",
            report["steps"],
            _comparison(report),
        )


def _comparison(report: Report) -> str:
    plain, compressed = report["plain_step_seconds"], report["compressed_step_seconds"]
    return f"compressed steps took {1e3 * compressed:.1f} ms, plain ones {1e3 * plain:.1f} ms"


def _phase(report: Report) -> str:
    if report["phase"] == MEASURING:
        return f"measuring: step {report['measured_steps']} of about {report['planned_steps']}"
    if report["phase"] != CHOSEN_BY_TIME:
        return str(report["phase"])
    any_compressed = any(bucket["sent"] == COMPRESSED for bucket in report["buckets"])
    gain = "" if any_compressed else ", which is no sure gain"
    return f"chosen: {_comparison(report)}{gain}"


def _less(report: Report, which: str) -> str:
    raw, sent = report[f"{which}raw_bytes"], report[f"{which}sent_bytes"]
    if not sent:
        return "nothing sent"
    return f"{sent / 1e6:.2f} MB sent instead of {raw / 1e6:.2f} MB, {raw / sent:.1f} times less"


def _seconds(report: Report) -> str:
    return (
        "compressing {compress_seconds:.3f} s, exchanging {exchange_seconds:.3f} s, "
        "decompressing {decompress_seconds:.3f} s".format(**report)
    )


def _buckets(report: Report) -> list[str]:
    buckets, excluded = report["buckets"], report["excluded_elements"]
    lines = [f"excluded: {excluded} elements, sent uncompressed"] if excluded else []
    if len(buckets) > _MOST_LINES:
        compressed = sum(bucket["sent"] == COMPRESSED for bucket in buckets)
        return [*lines, f"{len(buckets)} buckets: {compressed} compressed; report() lists all"]
    has_rules = bool(report["rules"])
    return [*lines, *(_bucket(bucket, has_rules) for bucket in buckets)]


def _bucket(bucket: Report, has_rules: bool) -> str:
    reason = bucket["reason"]
    if reason == CHOSEN_BY_TIME and bucket["plain_seconds"] is not None:
        compressed, plain = 1e3 * bucket["compressed_seconds"], 1e3 * bucket["plain_seconds"]
        reason = f"compressed {compressed:.1f} ms, plain {plain:.1f} ms"
    what = "sparse rows" if bucket["elements"] is None else f"{bucket['elements']} elements"
    what += f", {bucket['pipeline']}" if has_rules else ""
    what += f", {bucket['path']}" if bucket["path"] in (ON_DEVICE, THROUGH_HOST_MEMORY) else ""
    return f"bucket {bucket['index']} {bucket['sent']} ({what}): {reason}"
