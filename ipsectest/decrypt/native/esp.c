/*
 * The fast path of decryption: frames of a capture with ESP of known SAs, opened one after another.
 *
 * It takes only what is common and plain: complete Ethernet or raw IP frames, IPv4 without options or IPv6 without
 * extension headers, no fragments, ESP by itself or in UDP, the next sequence number of an SA in tunnel
 * mode, a right ICV, a sound trailer and an inner packet without IPsec or IKE. At the first frame that is anything else it stops and leaves
 * that frame to the caller, whose slower path knows everything. So a doubt never costs a packet, and every length
 * that comes from the file is checked here against what there is.
 *
 * The caller owns all memory. Sources: RFC 4303 (ESP), RFC 3948 (UDP), RFC 4106/4309/7634 (AEAD), pcapng draft.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ESP = 50, AH = 51, UDP = 17, IPV4_IN_IP = 4, IPV6_IN_IP = 41, NAT_T_PORT = 4500, IKE_PORT = 500 };
enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION_OPTIONS = 60 };
enum { LINK_ETHERNET = 1, LINK_RAW = 101 };
enum { ENHANCED_PACKET = 6, BLOCK_OVERHEAD = 32, OPT_COMMENT = 1, COMMENT_PART = 64, MOST_DIGITS = 20 };
enum stop { END_OF_INPUT = 0, SLOW_FRAME = 1, OUTPUT_FULL = 2, NO_FRAME = 3 };

/* One SA. The first part is set by the caller, the second counts since the caller looked last. */
struct sa {
    uint8_t key[36]; /* source and destination, 4 or 16 octets each, then the SPI; the rest is zero */
    uint32_t is_ipv6;
    uint64_t next_sequence; /* what the fast path takes; 0: nothing */
    uint8_t salt[4];
    uint32_t salt_length, iv_length, icv_length, block_length, esn, is_aead;
    char before[COMMENT_PART], behind[COMMENT_PART]; /* the comment of a packet, around its sequence number */
    uint32_t before_length, behind_length;           /* before_length 0: no comment */
    EVP_CIPHER_CTX *cipher;
    EVP_MAC_CTX *mac;

    uint64_t packets, octets, first, last;
};

/* Where the caller and this file are in a buffer of the capture. */
struct window {
    const uint8_t *in;
    uint64_t position, end; /* octets of `in` */
    uint8_t *out;
    uint64_t written, capacity;
    const struct interface *interfaces;
    uint32_t interface_count;
    uint32_t is_pcapng;
    uint64_t frames; /* opened, counted up */
};

struct interface {
    uint32_t link_type;
    uint32_t usable;       /* time stamps are multiples of nanoseconds */
    uint64_t nanoseconds;  /* per unit of a time stamp */
    uint32_t out_interface;
    uint32_t reserved;
};

struct table {
    struct sa *sas;
    uint32_t size; /* of slots, a power of two */
    uint32_t *slots; /* index of an SA plus 1; 0: free */
    uint32_t *touched; /* indices of SAs that counted since the caller looked; room for all */
    uint32_t touched_count;
};

struct frame {
    const uint8_t *data;
    uint64_t length, wire, time;
    uint32_t interface;
};

static uint16_t be16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

static uint32_t be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t le32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, 4); /* built for little-endian machines only, see build.py */
    return value;
}

static void put32(uint8_t *at, uint32_t value) { memcpy(at, &value, 4); }

static uint32_t hash(const uint8_t *key)
{
    uint64_t words[4];
    uint32_t spi;
    memcpy(words, key, 32);
    memcpy(&spi, key + 32, 4);
    uint64_t mixed = words[0] ^ (words[1] << 1) ^ (words[2] << 2) ^ (words[3] << 3) ^ spi;
    return (uint32_t)((mixed * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

/* Put an SA into the slots; the caller gives at least twice as many slots as SAs, zeros at first. */
void table_add(struct table *table, uint32_t number)
{
    uint32_t slot = hash(table->sas[number].key) & (table->size - 1);
    while (table->slots[slot])
        slot = (slot + 1) & (table->size - 1);
    table->slots[slot] = number + 1;
}

static struct sa *table_find(const struct table *table, const uint8_t *key)
{
    uint32_t slot = hash(key) & (table->size - 1);
    for (; table->slots[slot]; slot = (slot + 1) & (table->size - 1)) {
        struct sa *sa = &table->sas[table->slots[slot] - 1];
        if (!memcmp(sa->key, key, sizeof sa->key))
            return sa;
    }
    return NULL;
}

/* Contexts of OpenSSL with the keys of an SA; 0, and nothing kept, for an algorithm that it lacks. */
int sa_open(struct sa *sa, const char *cipher, const uint8_t *key, const char *digest, const uint8_t *mac_key,
            size_t mac_key_length)
{
    EVP_CIPHER *algorithm = EVP_CIPHER_fetch(NULL, cipher, NULL);
    sa->cipher = EVP_CIPHER_CTX_new();
    sa->mac = NULL;
    int done = algorithm && sa->cipher;
    if (done && sa->is_aead) {
        done = EVP_DecryptInit_ex(sa->cipher, algorithm, NULL, NULL, NULL) > 0 &&
               EVP_CIPHER_CTX_ctrl(sa->cipher, EVP_CTRL_AEAD_SET_IVLEN, 12, NULL) > 0 &&
               EVP_DecryptInit_ex(sa->cipher, NULL, NULL, key, NULL) > 0;
    } else if (done) {
        done = EVP_DecryptInit_ex(sa->cipher, algorithm, NULL, key, NULL) > 0 &&
               EVP_CIPHER_CTX_set_padding(sa->cipher, 0) > 0;
    }
    if (done && digest) {
        EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
        OSSL_PARAM parameters[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest, 0), OSSL_PARAM_construct_end()};
        sa->mac = mac ? EVP_MAC_CTX_new(mac) : NULL;
        done = sa->mac && EVP_MAC_init(sa->mac, mac_key, mac_key_length, parameters) > 0;
        EVP_MAC_free(mac);
    }
    EVP_CIPHER_free(algorithm);
    if (!done) {
        EVP_CIPHER_CTX_free(sa->cipher);
        EVP_MAC_CTX_free(sa->mac);
        sa->cipher = NULL;
        sa->mac = NULL;
    }
    return done;
}

void sa_close(struct sa *sa)
{
    EVP_CIPHER_CTX_free(sa->cipher);
    EVP_MAC_CTX_free(sa->mac);
    sa->cipher = NULL;
    sa->mac = NULL;
}

/* The next frame of the buffer. Anything but a packet, or no whole one, is the caller's. */
static enum stop next_frame(const struct window *window, struct frame *frame, uint64_t *after)
{
    const uint8_t *at = window->in + window->position;
    uint64_t left = window->end - window->position;
    if (!window->is_pcapng) {
        if (left < 16)
            return END_OF_INPUT;
        uint64_t captured = le32(at + 8);
        if (captured > left - 16)
            return END_OF_INPUT;
        frame->data = at + 16;
        frame->length = captured;
        frame->wire = le32(at + 12);
        frame->interface = 0;
        frame->time = le32(at) * UINT64_C(1000000000) + le32(at + 4) * window->interfaces[0].nanoseconds;
        *after = window->position + 16 + captured;
        return SLOW_FRAME;
    }
    if (left < 12)
        return END_OF_INPUT;
    if (le32(at) != ENHANCED_PACKET)
        return NO_FRAME;
    uint64_t block = le32(at + 4), captured;
    if (block < BLOCK_OVERHEAD || block % 4)
        return NO_FRAME;
    if (block > left)
        return END_OF_INPUT;
    captured = le32(at + 20);
    frame->interface = le32(at + 8);
    if (le32(at + block - 4) != block || captured > block - BLOCK_OVERHEAD || frame->interface >= window->interface_count ||
        !window->interfaces[frame->interface].usable)
        return NO_FRAME;
    uint64_t units = (uint64_t)le32(at + 12) << 32 | le32(at + 16), unit = window->interfaces[frame->interface].nanoseconds;
    if (unit && units > UINT64_MAX / unit) /* the slower path counts on without end */
        return NO_FRAME;
    frame->data = at + 28;
    frame->length = captured;
    frame->wire = le32(at + 24);
    frame->time = units * unit;
    *after = window->position + block;
    return SLOW_FRAME;
}

/* From a frame to its ESP packet: its SA, or NULL for all that is not plain. */
static struct sa *find_esp(const struct table *table, const struct frame *frame, uint32_t link_type,
                           const uint8_t **esp, uint64_t *length)
{
    const uint8_t *ip = frame->data;
    uint64_t left = frame->length, header, payload;
    uint8_t key[36] = {0}, protocol;
    uint32_t ethertype = 0;
    if (frame->wire != frame->length)
        return NULL;
    if (link_type == LINK_ETHERNET) {
        if (left < 14)
            return NULL;
        ethertype = be16(ip + 12);
        ip += 14;
        left -= 14;
    } else if (link_type != LINK_RAW) {
        return NULL;
    }
    if (left < 40)
        return NULL;
    if (ip[0] == 0x45 && ethertype != 0x86dd) {
        payload = be16(ip + 2);
        header = 20;
        if (payload < header || (be16(ip + 6) & 0x3fff) || payload > left)
            return NULL;
        payload -= header;
        protocol = ip[9];
        memcpy(key, ip + 12, 4);
        memcpy(key + 16, ip + 16, 4);
    } else if (ip[0] >> 4 == 6 && ethertype != 0x0800) {
        payload = be16(ip + 4);
        header = 40;
        if (payload > left - header)
            return NULL;
        protocol = ip[6];
        memcpy(key, ip + 8, 32);
    } else {
        return NULL;
    }
    if (link_type == LINK_ETHERNET && ethertype != 0x0800 && ethertype != 0x86dd)
        return NULL;
    const uint8_t *data = ip + header;
    if (protocol == UDP) {
        if (payload < 16)
            return NULL;
        uint64_t datagram = be16(data + 4);
        if (datagram < 16 || datagram > payload) /* on any port: an SPI that is followed tells ESP, as elsewhere */
            return NULL;
        data += 8;
        payload = datagram - 8;
    } else if (protocol != ESP) {
        return NULL;
    }
    if (payload < 8)
        return NULL;
    memcpy(key + 32, data, 4);
    *esp = data;
    *length = payload;
    return table_find(table, key);
}

/* Whether the ICV is right; the plaintext, with trailer, goes to `out`. */
static int decrypt(struct sa *sa, const uint8_t *esp, uint64_t length, uint64_t sequence, uint8_t *out)
{
    const uint8_t *iv = esp + 8, *text = iv + sa->iv_length, *icv = esp + length - sa->icv_length;
    uint64_t size = (uint64_t)(icv - text);
    int written = 0, rest = 0;
    if (sa->is_aead) {
        uint8_t nonce[12], aad[12];
        memcpy(nonce, sa->salt, 4);
        memcpy(nonce + 4, iv, 8);
        memcpy(aad, esp, 4);
        if (sa->esn)
            for (int octet = 0; octet < 4; octet++)
                aad[4 + octet] = (uint8_t)(sequence >> (56 - 8 * octet));
        memcpy(aad + (sa->esn ? 8 : 4), esp + 4, 4);
        return EVP_DecryptInit_ex(sa->cipher, NULL, NULL, NULL, nonce) > 0 &&
               EVP_CIPHER_CTX_ctrl(sa->cipher, EVP_CTRL_AEAD_SET_TAG, (int)sa->icv_length, (void *)icv) > 0 &&
               EVP_DecryptUpdate(sa->cipher, NULL, &written, aad, sa->esn ? 12 : 8) > 0 &&
               EVP_DecryptUpdate(sa->cipher, out, &written, text, (int)size) > 0 &&
               EVP_DecryptFinal_ex(sa->cipher, out + written, &rest) > 0;
    }
    if (sa->mac) {
        uint8_t computed[EVP_MAX_MD_SIZE], high[4], difference = 0;
        size_t computed_length = 0;
        for (int octet = 0; octet < 4; octet++)
            high[octet] = (uint8_t)(sequence >> (56 - 8 * octet));
        if (EVP_MAC_init(sa->mac, NULL, 0, NULL) <= 0 ||
            EVP_MAC_update(sa->mac, esp, length - sa->icv_length) <= 0 ||
            (sa->esn && EVP_MAC_update(sa->mac, high, 4) <= 0) ||
            EVP_MAC_final(sa->mac, computed, &computed_length, sizeof computed) <= 0 ||
            computed_length < sa->icv_length)
            return 0;
        for (uint32_t octet = 0; octet < sa->icv_length; octet++)
            difference |= (uint8_t)(computed[octet] ^ icv[octet]);
        if (difference)
            return 0;
    }
    uint8_t counter[16] = {0};
    if (sa->salt_length) { /* AES-CTR: nonce, IV, block counter from 1 (RFC 3686 section 4) */
        memcpy(counter, sa->salt, 4);
        memcpy(counter + 4, iv, 8);
        counter[15] = 1;
        iv = counter;
    }
    return EVP_DecryptInit_ex(sa->cipher, NULL, NULL, NULL, iv) > 0 &&
           EVP_DecryptUpdate(sa->cipher, out, &written, text, (int)size) > 0 &&
           EVP_DecryptFinal_ex(sa->cipher, out + written, &rest) > 0;
}

/* Whether the one's complement sum of an IPv4 header is what it should be (RFC 1071). */
static int is_summed(const uint8_t *header, uint64_t length)
{
    uint32_t sum = 0;
    for (uint64_t at = 0; at < length; at += 2)
        sum += be16(header + at);
    sum = (sum & 0xffff) + (sum >> 16);
    return ((sum & 0xffff) + (sum >> 16)) == 0xffff;
}

/* Whether a datagram is neither on the ports of IKE and NAT traversal nor IKE behind its marker on any other. */
static int is_plain_udp(const uint8_t *data, uint64_t length)
{
    enum { HEADER = 8, MARKER = 4, IKE_HEADER = 28 };
    uint64_t datagram = length < HEADER ? 0 : be16(data + 4);
    if (datagram < HEADER || datagram > length)
        return 1;
    for (int port = 0; port <= 2; port += 2)
        if (be16(data + port) == NAT_T_PORT || be16(data + port) == IKE_PORT)
            return 0;
    if (datagram < HEADER + MARKER + IKE_HEADER || be32(data + HEADER))
        return 1;
    const uint8_t *ike = data + HEADER + MARKER;
    int version = ike[17] >> 4;
    return (version != 1 && version != 2) || be32(ike + 24) != datagram - HEADER - MARKER;
}

/* Whether an upper layer holds nothing that could be IPsec or IKE again; an extension header may hide it. */
static int is_plain(uint8_t protocol, const uint8_t *data, uint64_t length)
{
    switch (protocol) {
    case HOP_BY_HOP:
    case ROUTING:
    case FRAGMENT:
    case DESTINATION_OPTIONS:
    case ESP:
    case AH:
        return 0;
    case UDP:
        return is_plain_udp(data, length);
    }
    return 1;
}

/* Octets of the inner packet in a plaintext; 0 for a trailer or packet that the slower path should look at. */
static uint64_t inner_length(const uint8_t *plain, uint64_t size)
{
    if (size < 22)
        return 0;
    uint8_t next_header = plain[size - 1], padding = plain[size - 2];
    if (padding > size - 2)
        return 0;
    uint64_t payload = size - 2 - padding, inner;
    if (next_header == IPV4_IN_IP && payload >= 20 && plain[0] >> 4 == 4 && (plain[0] & 15) >= 5) {
        uint64_t header = 4 * (uint64_t)(plain[0] & 15);
        inner = be16(plain + 2);
        return inner >= header && inner == payload && is_summed(plain, header) &&
                       is_plain(plain[9], plain + header, inner - header) ? inner : 0;
    }
    if (next_header == IPV6_IN_IP && payload >= 40 && plain[0] >> 4 == 6) {
        inner = 40 + (uint64_t)be16(plain + 4);
        return inner == payload && is_plain(plain[6], plain + 40, inner - 40) ? inner : 0;
    }
    return 0;
}

/* The comment option and the end of options; their length. */
static uint64_t write_comment(const struct sa *sa, uint64_t sequence, uint8_t *out)
{
    uint8_t digits[MOST_DIGITS];
    uint32_t count = 0;
    do
        digits[count++] = (uint8_t)('0' + sequence % 10);
    while (sequence /= 10);
    uint32_t text = sa->before_length + count + sa->behind_length, padded = (text + 3) & ~3u;
    uint8_t *at = out + 4;
    put32(out, OPT_COMMENT | text << 16);
    memcpy(at, sa->before, sa->before_length);
    at += sa->before_length;
    while (count)
        *at++ = digits[--count];
    memcpy(at, sa->behind, sa->behind_length);
    memset(out + 4 + text, 0, padded - text + 4);
    return 4 + padded + 4;
}

/* An enhanced packet block around `inner` octets that stand at out + 28 already; its length. */
static uint64_t finish_block(const struct sa *sa, const struct frame *frame, uint32_t interface, uint64_t sequence,
                             uint64_t inner, uint8_t *out)
{
    uint64_t padded = (inner + 3) & ~UINT64_C(3), length = 28 + padded;
    memset(out + 28 + inner, 0, padded - inner);
    if (sa->before_length)
        length += write_comment(sa, sequence, out + length);
    length += 4;
    put32(out, ENHANCED_PACKET);
    put32(out + 4, (uint32_t)length);
    put32(out + 8, interface);
    put32(out + 12, (uint32_t)(frame->time >> 32));
    put32(out + 16, (uint32_t)frame->time);
    put32(out + 20, (uint32_t)inner);
    put32(out + 24, (uint32_t)inner);
    put32(out + length - 4, (uint32_t)length);
    return length;
}

/* Open frames until the buffer ends, the output is full or `position` is at a frame that is not for this path. */
int esp_run(struct window *window, struct table *table)
{
    for (;;) {
        struct frame frame;
        uint64_t after = 0, length = 0;
        const uint8_t *esp = NULL;
        enum stop found = next_frame(window, &frame, &after);
        if (found != SLOW_FRAME)
            return found;
        if (window->capacity - window->written < 65536 + 4096)
            return OUTPUT_FULL;
        const struct interface *interface = &window->interfaces[frame.interface];
        struct sa *sa = find_esp(table, &frame, interface->link_type, &esp, &length);
        uint64_t sequence = sa ? sa->next_sequence : 0, inner = 0;
        if (sa && sa->cipher && sequence && (sa->esn || !(sequence >> 32)) && be32(esp + 4) == (uint32_t)sequence &&
            length >= 8 + (uint64_t)sa->iv_length + sa->icv_length + 2) {
            uint64_t size = length - 8 - sa->iv_length - sa->icv_length;
            uint8_t *out = window->out + window->written;
            if (size % sa->block_length == 0 && decrypt(sa, esp, length, sequence, out + 28))
                inner = inner_length(out + 28, size);
        }
        if (!inner)
            return SLOW_FRAME;
        window->frames++;
        window->written += finish_block(sa, &frame, interface->out_interface, sequence, inner,
                                        window->out + window->written);
        window->position = after;
        sa->next_sequence = sequence + 1;
        sa->octets += inner;
        if (!sa->packets++) {
            sa->first = frame.time;
            table->touched[table->touched_count++] = (uint32_t)(sa - table->sas);
        }
        sa->last = frame.time;
    }
}

/* For the wrapper to compare with what it declares. */
size_t size_of_sa(void) { return sizeof(struct sa); }
size_t size_of_window(void) { return sizeof(struct window); }
size_t size_of_interface(void) { return sizeof(struct interface); }
