/* What the machine can do: ESP of a classic pcap file opened over libcrypto and written as raw IP, nothing else.
 * usage: esp_limit CAPTURE KEYS OUT; a line of KEYS: SPI CIPHER KEY [DIGEST KEY ICV-LENGTH], in hexadecimal. */
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct sa {
    uint32_t spi;
    EVP_CIPHER_CTX *cipher;
    HMAC_CTX *mac;
    uint8_t salt[4];
    int aead, iv, icv;
};

static struct sa sas[64];
static int count;

static int hex(const char *text, uint8_t *out)
{
    int n = 0;
    unsigned octet;
    while (sscanf(text + 2 * n, "%2x", &octet) == 1)
        out[n++] = (uint8_t)octet;
    return n;
}

static void read_keys(const char *path)
{
    char name[64], key[256], digest[64], auth[256];
    unsigned spi;
    int icv;
    FILE *file = fopen(path, "r");
    while (file && fscanf(file, "%x %63s %255s %63s %255s %d", &spi, name, key, digest, auth, &icv) == 6) {
        struct sa *sa = &sas[count++];
        uint8_t octets[128];
        int length = hex(key, octets);
        sa->spi = spi;
        sa->icv = icv;
        sa->aead = strcmp(digest, "-") == 0;
        sa->iv = sa->aead ? 8 : 16;
        sa->cipher = EVP_CIPHER_CTX_new();
        EVP_DecryptInit_ex(sa->cipher, EVP_get_cipherbyname(name), NULL, octets, NULL);
        EVP_CIPHER_CTX_set_padding(sa->cipher, 0);
        if (sa->aead)
            memcpy(sa->salt, octets + length - 4, 4);
        else {
            length = hex(auth, octets);
            sa->mac = HMAC_CTX_new();
            HMAC_Init_ex(sa->mac, octets, length, EVP_get_digestbyname(digest), NULL);
        }
    }
}

int main(int argc, char **argv)
{
    static uint8_t out[1 << 20];
    size_t used = 0, opened = 0;
    struct stat size;
    if (argc != 4)
        return 2;
    read_keys(argv[2]);
    int in = open(argv[1], O_RDONLY), to = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (in < 0 || to < 0 || fstat(in, &size))
        return 2;
    const uint8_t *data = mmap(NULL, (size_t)size.st_size, PROT_READ, MAP_PRIVATE, in, 0);
    uint32_t header[6] = {0xa1b2c3d4, 0x00040002, 0, 0, 65535, 101};
    if (data == MAP_FAILED || write(to, header, 24) != 24)
        return 2;
    for (size_t at = 24; at + 16 <= (size_t)size.st_size;) {
        uint32_t captured;
        memcpy(&captured, data + at + 8, 4);
        const uint8_t *ip = data + at + 16 + 14, *esp = ip + (ip[0] >> 4 == 4 ? 20 : 40), *end = data + at + 16 + captured;
        if ((ip[0] >> 4 == 4 ? ip[9] : ip[6]) == 17)
            esp += 8;
        uint32_t spi = (uint32_t)esp[0] << 24 | (uint32_t)esp[1] << 16 | (uint32_t)esp[2] << 8 | esp[3];
        struct sa *sa = sas;
        while (sa < sas + count && sa->spi != spi)
            sa++;
        if (sa == sas + count)
            return 1;
        const uint8_t *text = esp + 8 + sa->iv;
        int length = (int)(end - sa->icv - text), written, rest, good;
        if (used + (size_t)length + 64 > sizeof out) {
            if (write(to, out, used) < 0)
                return 2;
            used = 0;
        }
        uint8_t *plain = out + used + 16, iv[16];
        if (sa->aead) {
            memcpy(iv, sa->salt, 4);
            memcpy(iv + 4, esp + 8, 8);
            EVP_DecryptInit_ex(sa->cipher, NULL, NULL, NULL, iv);
            EVP_CIPHER_CTX_ctrl(sa->cipher, EVP_CTRL_AEAD_SET_TAG, 16, (void *)(end - 16));
            EVP_DecryptUpdate(sa->cipher, NULL, &written, esp, 8);
            EVP_DecryptUpdate(sa->cipher, plain, &written, text, length);
            good = EVP_DecryptFinal_ex(sa->cipher, plain + written, &rest) > 0;
        } else {
            uint8_t icv[64];
            unsigned n;
            HMAC_Init_ex(sa->mac, NULL, 0, NULL, NULL);
            HMAC_Update(sa->mac, esp, (size_t)(end - sa->icv - esp));
            HMAC_Final(sa->mac, icv, &n);
            good = !memcmp(icv, end - sa->icv, (size_t)sa->icv);
            EVP_DecryptInit_ex(sa->cipher, NULL, NULL, NULL, esp + 8);
            EVP_DecryptUpdate(sa->cipher, plain, &written, text, length);
        }
        if (good) {
            uint32_t inner = (uint32_t)(length - 2 - plain[length - 2]);
            memcpy(out + used, data + at, 8);
            memcpy(out + used + 8, &inner, 4);
            memcpy(out + used + 12, &inner, 4);
            used += 16 + inner;
            opened++;
        }
        at += 16 + captured;
    }
    if (write(to, out, used) < 0)
        return 2;
    printf("%zu\n", opened);
    return 0;
}
