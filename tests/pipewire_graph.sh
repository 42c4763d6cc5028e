#!/usr/bin/env bash
# A PipeWire of its own in this folder: in.wav, of $1 Hz, is played into a microphone made for it, and what the source
# "gtcrn" of the configuration here makes of that is recorded in out.wav.
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

until_there() { # a command that prints a line of this pattern
    for _ in $(seq 100); do
        "${@:2}" 2>/dev/null | grep -q "$1" && return
        sleep 0.1
    done
    echo "no $1: $(cat ./*.log)" >&2
    exit 1
}

pipewire >pipewire.log 2>&1 &
until_there id pw-cli info 0
pw-metadata -n settings 0 clock.force-quantum 8192 >/dev/null # in long blocks nothing is late where others work, too
wireplumber >wireplumber.log 2>&1 &
until_there WirePlumber pw-cli list-objects Client
pw-cli create-node adapter '{ factory.name = support.null-audio-sink  node.name = mic  media.class = Audio/Source/Virtual
    object.linger = 1  audio.position = [ MONO ] }' >/dev/null
until_there mic: pw-link -o
pipewire -c gtcrn-microphone.conf >microphone.log 2>&1 &
until_there 'mic:capture_MONO' pw-link -l capture.gtcrn

pw-record --target gtcrn --rate "$1" --channels 1 --format f32 out.wav >record.log 2>&1 &
record=$!
until_there 'gtcrn:capture_MONO' pw-link -l pw-record
pw-play --target 0 in.wav >play.log 2>&1 &
play=$!
until_there 'pw-play:output_MONO' pw-link -o
pw-link pw-play:output_MONO mic:input_MONO
wait "$play"
sleep 0.5 # what is still on its way
kill -INT "$record"
wait "$record" || true
