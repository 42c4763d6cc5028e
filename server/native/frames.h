/* Binary messages as frames of the WebSocket protocol (RFC 6455, 5.2): a client's are read, the server's are begun. */
#ifndef FRAMES_H
#define FRAMES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    FINAL_BINARY = 0x82,               /* the first byte */
    MASKED = 0x80,                     /* of the second, beside the length or one of these: */
    TWO_BYTES = 126, EIGHT_BYTES = 127, /* the length is in so many bytes that follow */
    MASK = 4,                          /* bytes, before the payload */
    LONGEST_HEAD = 10                  /* bytes, of a server's frame */
};

/* Where the payload begins if `frame` is one final binary frame of a client, whole and alone, with a payload below 64 KB;
   0 for anything else. */
static inline size_t payload_start(const uint8_t *frame, size_t size)
{
    if (size < 2 + MASK || frame[0] != FINAL_BINARY || !(frame[1] & MASKED)) return 0;
    size_t length = frame[1] & ~MASKED, start = 2 + MASK;
    if (length == EIGHT_BYTES) return 0;
    if (length == TWO_BYTES) length = (size_t)frame[2] << 8 | frame[3], start += 2;
    return start + length == size ? start : 0;
}

/* The payload, `size` bytes, whose mask lies before it. */
static inline void unmask(const uint8_t *payload, size_t size, uint8_t *out)
{
    uint8_t twice[2 * MASK];
    uint64_t mask, eight;
    size_t i = 0;
    memcpy(twice, payload - MASK, MASK);
    memcpy(twice + MASK, twice, MASK);
    memcpy(&mask, twice, sizeof mask);
    for (; i + sizeof eight <= size; i += sizeof eight) {
        memcpy(&eight, payload + i, sizeof eight);
        eight ^= mask;
        memcpy(out + i, &eight, sizeof eight);
    }
    for (; i < size; i++) out[i] = payload[i] ^ twice[i % MASK];
}

/* The head of a server's binary frame with `size` bytes of payload; returns its length. */
static inline size_t write_head(size_t size, uint8_t head[LONGEST_HEAD])
{
    int wide = size >= TWO_BYTES ? size > 0xffff ? 8 : 2 : 0;
    head[0] = FINAL_BINARY;
    head[1] = wide == 8 ? EIGHT_BYTES : wide ? TWO_BYTES : (uint8_t)size;
    for (int i = 0; i < wide; i++) head[2 + i] = (uint8_t)((uint64_t)size >> 8 * (wide - 1 - i));
    return 2 + (size_t)wide;
}

#endif
