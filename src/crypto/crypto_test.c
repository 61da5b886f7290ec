/* SPDX-License-Identifier: Apache-2.0 */
#include "base/encode.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/keywrap.h"
#include "crypto/password.h"
#include "crypto/random.h"
#include "crypto/recipient_key.h"
#include "crypto/sign.h"

#include "kit/kit.h"
#include "kit/run.h"

/* Compare bytes with hexadecimal text. */
static void assert_hex(const uint8_t *at, size_t len, const char *expected_cstr)
{
    struct buffer text;

    buffer_init(&text, 4096);
    assert_true(hex_append(&text, slice_of(at, len)));
    assert_true(slice_equal(buffer_view(&text), slice_from_cstr(expected_cstr)));
    buffer_deinit(&text);
}

static void from_hex(const char *text_cstr, uint8_t *out, size_t len)
{
    struct buffer bytes;

    buffer_init(&bytes, 4096);
    assert_true(hex_decode(slice_from_cstr(text_cstr), &bytes));
    assert_int_equal(buffer_len(&bytes), len);
    memcpy(out, buffer_view(&bytes).at, len);
    buffer_deinit(&bytes);
}

static void test_random_differs(void **state)
{
    struct secret a, b;

    (void)state;
    random_secret(&a);
    random_secret(&b);
    assert_false(secret_equal(&a, &b));
    assert_true(random_u64() != random_u64());
}

/* [RFC 6234] [RFC 4231 §4] [RFC 5869 §A] */
static void test_digest_vectors(void **state)
{
    struct sha256_stream stream;
    uint8_t digest[SHA256_BYTES], okm[42], ikm[22], salt[13], info[10];
    uint8_t long_key[131];

    (void)state;
    sha256(S("abc"), digest);
    assert_hex(digest, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_init(&stream);
    for (int round = 0; round < 2; round++) {
        sha256_push(&stream, S("a"));
        sha256_push(&stream, S(""));
        sha256_push(&stream, S("bc"));
        sha256_finish(&stream, digest);
        assert_hex(digest, 32,
                   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
    sha256_deinit(&stream);
    hmac_sha256(S("Jefe"), S("what do ya want for nothing?"), digest);
    assert_hex(digest, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(long_key, 0xaa, sizeof long_key);
    hmac_sha256(slice_of(long_key, sizeof long_key),
                S("Test Using Larger Than Block-Size Key - Hash Key First"), digest);
    assert_hex(digest, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    memset(ikm, 0x0b, sizeof ikm);
    from_hex("000102030405060708090a0b0c", salt, sizeof salt);
    from_hex("f0f1f2f3f4f5f6f7f8f9", info, sizeof info);
    hkdf_sha256(slice_of(ikm, sizeof ikm), slice_of(salt, sizeof salt),
                slice_of(info, sizeof info), okm, sizeof okm);
    assert_hex(
        okm, sizeof okm,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    hkdf_sha256(slice_of(ikm, sizeof ikm), S(""), S(""), okm, sizeof okm);
    assert_hex(
        okm, sizeof okm,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

static void test_aead_vectors(void **state)
{
    static const uint8_t nonce[AEAD_NONCE_BYTES];
    struct secret zeros = {{0}};
    struct aead *aead = aead_new(&zeros);
    uint8_t sealed[32], plain[16] = {0};

    (void)state;
    /* Cases 13 and 14 of the GCM submission. */
    aead_seal(aead, nonce, S(""), S(""), sealed);
    assert_hex(sealed, 16, "530f8afbc74536b9a963b4f1c4cb738b");
    aead_seal(aead, nonce, S(""), slice_of(plain, 16), sealed);
    assert_hex(sealed, 32, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
    assert_true(aead_open(aead, nonce, S(""), slice_of(sealed, 32), sealed));
    assert_memory_equal(sealed, plain, 16);
    aead_free(&aead);
    aead_free(&aead);
}

static void test_aead_refuses_any_change(void **state)
{
    static const uint8_t zeros[64];
    uint8_t nonce[AEAD_NONCE_BYTES] = {1}, sealed[20 + AEAD_TAG_BYTES], plain[20];
    struct slice text = S("twenty bytes of text");
    struct secret key, other;
    struct aead *aead;

    (void)state;
    random_secret(&key);
    random_secret(&other);
    aead = aead_new(&key);
    aead_seal(aead, nonce, S("place"), text, sealed);
    assert_true(aead_open(aead, nonce, S("place"), slice_of(sealed, sizeof sealed), plain));
    assert_memory_equal(plain, text.at, text.len);
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 1;
        memset(plain, 'x', sizeof plain);
        assert_false(
            aead_open(aead, nonce, S("place"), slice_of(sealed, sizeof sealed), plain));
        assert_memory_equal(plain, zeros, sizeof plain);
        sealed[i] ^= 1;
        assert_false(aead_open(aead, nonce, S("place"), slice_of(sealed, i), plain));
    }
    assert_false(aead_open(aead, nonce, S("other"), slice_of(sealed, sizeof sealed), plain));
    nonce[11] = 1;
    assert_false(aead_open(aead, nonce, S("place"), slice_of(sealed, sizeof sealed), plain));
    nonce[11] = 0;
    aead_set_key(aead, &other);
    assert_false(aead_open(aead, nonce, S("place"), slice_of(sealed, sizeof sealed), plain));
    aead_forget(aead);
    assert_false(aead_open(aead, nonce, S("place"), slice_of(sealed, sizeof sealed), plain));
    aead_set_key(aead, &key);
    assert_true(aead_open(aead, nonce, S("place"), slice_of(sealed, sizeof sealed), plain));
    aead_free(&aead);
}

static void test_box(void **state)
{
    struct secret key;
    struct aead_box *box;
    uint8_t first[12 + AEAD_BOX_OVERHEAD], second[12 + AEAD_BOX_OVERHEAD], plain[12];
    uint8_t known[12 + AEAD_BOX_OVERHEAD] = "ABCDEFGHIJKLMNOPQRSTUVWX";

    (void)state;
    /* The vectors of the C2SP description of XAES-256-GCM. */
    memset(key.bytes, 1, sizeof key.bytes);
    box = aead_box_new(&key);
    from_hex("ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271", known + 24, 28);
    assert_true(aead_box_open(box, S(""), slice_of(known, sizeof known), plain));
    assert_memory_equal(plain, "XAES-256-GCM", 12);
    aead_box_free(&box);
    memset(key.bytes, 3, sizeof key.bytes);
    box = aead_box_new(&key);
    from_hex("986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d", known + 24, 28);
    assert_true(
        aead_box_open(box, S("c2sp.org/XAES-256-GCM"), slice_of(known, sizeof known), plain));
    assert_memory_equal(plain, "XAES-256-GCM", 12);

    aead_box_seal(box, S("row 1"), S("same content"), first);
    aead_box_seal(box, S("row 1"), S("same content"), second);
    assert_memory_not_equal(first, second, sizeof first);
    assert_true(aead_box_open(box, S("row 1"), slice_of(first, sizeof first), plain));
    assert_memory_equal(plain, "same content", 12);
    assert_false(aead_box_open(box, S("row 2"), slice_of(first, sizeof first), plain));
    for (size_t i = 0; i < sizeof first; i++) {
        first[i] ^= 0x80;
        assert_false(aead_box_open(box, S("row 1"), slice_of(first, sizeof first), plain));
        first[i] ^= 0x80;
        assert_false(aead_box_open(box, S("row 1"), slice_of(first, i), plain));
    }
    aead_box_free(&box);
}

/* [RFC 3394 §4.6] */
static void test_keywrap(void **state)
{
    struct secret wrapping, key, got;
    uint8_t wrapped[KEYWRAP_BYTES];

    (void)state;
    from_hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", wrapping.bytes,
             32);
    from_hex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f", key.bytes, 32);
    keywrap_wrap(&wrapping, &key, wrapped);
    assert_hex(
        wrapped, sizeof wrapped,
        "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21");
    assert_true(keywrap_unwrap(&wrapping, wrapped, &got));
    assert_true(secret_equal(&got, &key));
    for (size_t i = 0; i < sizeof wrapped; i++) {
        wrapped[i] ^= 4;
        assert_false(keywrap_unwrap(&wrapping, wrapped, &got));
        wrapped[i] ^= 4;
    }
    assert_false(keywrap_unwrap(&key, wrapped, &got));
    assert_true(keywrap_unwrap(&wrapping, wrapped, &got));
}

static void test_recipient_key_round_trip(void **state)
{
    struct recipient_key *key = NULL, *again = NULL, *stranger = NULL;
    struct recipient_certificate *certificate = NULL;
    struct buffer key_pem, key_der, certificate_pem, sealed;
    struct secret secret, got;
    uint8_t a[32], b[32];
    struct err err;

    (void)state;
    buffer_init(&key_pem, 4096);
    buffer_init(&key_der, 4096);
    buffer_init(&certificate_pem, 4096);
    buffer_init(&sealed, 4096);
    assert_true(recipient_key_generate("Postern keeper", &key, &err));
    assert_true(recipient_key_generate("Somebody else", &stranger, &err));
    assert_true(recipient_key_write_pem(key, &key_pem));
    assert_true(recipient_key_write_der(key, &key_der));
    assert_true(
        recipient_certificate_write_pem(recipient_key_certificate(key), &certificate_pem));
    assert_true(recipient_certificate_parse(buffer_view(&certificate_pem), &certificate, &err));
    random_secret(&secret);
    assert_true(recipient_seal(certificate, &secret, &sealed, &err));
    assert_true(buffer_len(&sealed) < 1024);

    assert_true(recipient_key_parse(buffer_view(&key_der), buffer_view(&certificate_pem),
                                    &again, &err));
    recipient_certificate_digest(recipient_key_certificate(again), a);
    recipient_certificate_digest(certificate, b);
    assert_memory_equal(a, b, 32);
    assert_true(recipient_open(again, buffer_view(&sealed), &got, &err));
    assert_true(secret_equal(&got, &secret));
    assert_false(recipient_open(stranger, buffer_view(&sealed), &got, &err));
    assert_int_equal(err.class, ERR_PERM);
    assert_false(recipient_open(key, slice_head(buffer_view(&sealed), buffer_len(&sealed) - 1),
                                &got, &err));
    assert_false(recipient_open(key, S("not CMS"), &got, &err));
    assert_false(recipient_open(key, S(""), &got, &err));
    recipient_key_free(&again);

    buffer_clear(&key_pem);
    assert_true(recipient_key_write_pem(stranger, &key_pem));
    assert_false(recipient_key_parse(buffer_view(&key_pem), buffer_view(&certificate_pem),
                                     &again, &err));
    assert_non_null(strstr(err.text_cstr, "do not belong together"));
    assert_false(recipient_key_parse(S("x"), buffer_view(&certificate_pem), &again, &err));
    assert_false(recipient_certificate_parse(S("x"), &certificate, &err));
    assert_false(recipient_certificate_parse(S(""), &certificate, &err));
    buffer_wipe(&key_pem);
    buffer_wipe(&key_der);
    buffer_deinit(&certificate_pem);
    buffer_deinit(&sealed);
    recipient_certificate_free(&certificate);
    recipient_key_free(&key);
    recipient_key_free(&stranger);
}

/* What the header promises for the day of a disaster. */
static void test_openssl_opens_a_sealed_key(void **state)
{
    struct recipient_key *key = NULL;
    struct buffer bytes;
    struct secret secret;
    char folder_cstr[64];
    uint8_t got[64];

    (void)state;
    kit_make_folder(folder_cstr);
    buffer_init(&bytes, 4096);
    assert_true(recipient_key_generate("Postern keeper", &key, NULL));
    random_secret(&secret);
    assert_true(recipient_seal(recipient_key_certificate(key), &secret, &bytes, NULL));
    kit_write_file(folder_cstr, "sealed", buffer_view(&bytes));
    buffer_clear(&bytes);
    assert_true(recipient_key_write_pem(key, &bytes));
    kit_write_file(folder_cstr, "key", buffer_view(&bytes));
    buffer_clear(&bytes);
    assert_true(recipient_certificate_write_pem(recipient_key_certificate(key), &bytes));
    kit_write_file(folder_cstr, "certificate", buffer_view(&bytes));
    assert_true(KIT_RUN("env", "-C", folder_cstr, "openssl", "cms", "-decrypt", "-inform",
                        "DER", "-in", "sealed", "-inkey", "key", "-recip", "certificate",
                        "-out", "got"));
    assert_int_equal(kit_read_file(folder_cstr, "got", got, sizeof got), SECRET_BYTES);
    assert_memory_equal(got, secret.bytes, SECRET_BYTES);
    buffer_wipe(&bytes);
    recipient_key_free(&key);
    kit_remove_folder(folder_cstr);
}

static void test_passwords(void **state)
{
    char hash_cstr[PASSWORD_HASH_SIZE], other_cstr[PASSWORD_HASH_SIZE];
    uint8_t salt[PASSWORD_SALT_BYTES] = {1};
    struct secret a, b;
    struct err err;

    (void)state;
    assert_true(password_hash(S("correct horse"), PASSWORD_COST_CHEAP, hash_cstr, &err));
    assert_true(password_hash(S("correct horse"), PASSWORD_COST_CHEAP, other_cstr, &err));
    assert_string_not_equal(hash_cstr, other_cstr);
    assert_true(password_verify(S("correct horse"), hash_cstr));
    assert_false(password_verify(S("correct hors"), hash_cstr));
    assert_false(password_verify(S(""), hash_cstr));
    assert_false(password_verify(S("correct horse"), ""));
    assert_false(password_verify(S("correct horse"), "*"));
    /* Somebody who can write rows must not make us take all memory. */
    assert_false(password_verify(S("x"), "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$AAAA"));
    assert_false(password_verify(S("x"), "$argon2id$v=19$m=64,t=4000000,p=1$c29tZXNhbHQ$AAAA"));
    assert_false(password_is_outdated(hash_cstr, PASSWORD_COST_CHEAP));
    assert_true(password_is_outdated(hash_cstr, PASSWORD_COST_DEFAULT));
    assert_true(password_is_outdated("", PASSWORD_COST_DEFAULT));
    password_verify_nobody(S("x"), PASSWORD_COST_CHEAP);

    assert_true(password_derive(S("blue"), salt, PASSWORD_COST_CHEAP, &a, &err));
    assert_true(password_derive(S("blue"), salt, PASSWORD_COST_CHEAP, &b, &err));
    assert_true(secret_equal(&a, &b));
    salt[0] = 2;
    assert_true(password_derive(S("blue"), salt, PASSWORD_COST_CHEAP, &b, &err));
    assert_false(secret_equal(&a, &b));
    assert_false(password_derive(S("blue"), salt, (struct password_cost){1, 1}, &b, &err));
    assert_false(password_derive(S("blue"), salt, (struct password_cost){8192, 0}, &b, &err));
    assert_int_equal(err.class, ERR_PERM);
}

static void test_password_box(void **state)
{
    struct buffer box, plain;
    struct err err;

    (void)state;
    buffer_init(&box, 1000);
    buffer_init(&plain, 1000);
    assert_true(password_box_seal(S("pass phrase"), S("a private key"), PASSWORD_COST_CHEAP,
                                  &box, &err));
    assert_int_equal(buffer_len(&box), 13 + PASSWORD_BOX_OVERHEAD);
    assert_true(password_box_open(S("pass phrase"), buffer_view(&box), &plain, &err));
    assert_true(slice_equal(buffer_view(&plain), S("a private key")));
    buffer_clear(&plain);
    assert_false(password_box_open(S("wrong phrase"), buffer_view(&box), &plain, &err));
    assert_int_equal(err.class, ERR_PERM);
    for (size_t i = 0; i < buffer_len(&box); i++) {
        /* The highest bytes of the cost would be refused, the low ones change the key: all fail. */
        box.at[i] ^= 1;
        assert_false(password_box_open(S("pass phrase"), buffer_view(&box), &plain, &err));
        box.at[i] ^= 1;
        assert_false(password_box_open(S("pass phrase"), slice_head(buffer_view(&box), i),
                                       &plain, &err));
    }
    assert_int_equal(buffer_len(&plain), 0);
    buffer_deinit(&box);
    buffer_deinit(&plain);
}

static void test_signatures(void **state)
{
    static const enum sign_algorithm algorithms[] = {SIGN_RSA_SHA256, SIGN_ED25519_SHA256};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(algorithms); i++) {
        struct sign_key *key = NULL, *again = NULL;
        struct buffer pem, text, public_key;
        uint8_t digest[SHA256_BYTES], signature[SIGN_MAX_BYTES];
        size_t len = 0;
        struct err err;

        buffer_init(&pem, 8192);
        buffer_init(&text, 8192);
        buffer_init(&public_key, 8192);
        assert_true(sign_key_generate(algorithms[i], 2048, &key, &err));
        assert_true(sign_key_write_pem(key, &pem));
        assert_true(sign_key_parse(buffer_view(&pem), &again, &err));
        assert_int_equal(sign_key_algorithm(again), algorithms[i]);
        assert_int_equal(sign_key_bits(again), algorithms[i] == SIGN_RSA_SHA256 ? 2048 : 256);
        assert_true(sign_key_write_public(again, &text));
        assert_true(base64_decode(buffer_view(&text), &public_key));
        sha256(S("header block"), digest);
        for (int round = 0; round < 2; round++) {
            assert_true(sign_digest(again, digest, signature, &len, &err));
            assert_true(sign_digest_verify(algorithms[i], buffer_view(&public_key), digest,
                                           slice_of(signature, len)));
        }
        signature[3] ^= 1;
        assert_false(sign_digest_verify(algorithms[i], buffer_view(&public_key), digest,
                                        slice_of(signature, len)));
        signature[3] ^= 1;
        digest[0] ^= 1;
        assert_false(sign_digest_verify(algorithms[i], buffer_view(&public_key), digest,
                                        slice_of(signature, len)));
        assert_false(sign_digest_verify(algorithms[1 - i], buffer_view(&public_key), digest,
                                        slice_of(signature, len)));
        assert_false(
            sign_digest_verify(algorithms[i], S(""), digest, slice_of(signature, len)));
        sign_key_free(&key);
        sign_key_free(&again);
        buffer_wipe(&pem);
        buffer_deinit(&text);
        buffer_deinit(&public_key);
    }
    assert_string_equal(sign_algorithm_name(SIGN_ED25519_SHA256), "ed25519-sha256");
}

/* [RFC 8463 §A.2] and the openssl program, which must agree about both kinds. */
static void test_signatures_are_what_others_expect(void **state)
{
    struct sign_key *key = NULL;
    struct buffer bytes;
    uint8_t der[48], digest[SHA256_BYTES], signature[SIGN_MAX_BYTES];
    char folder_cstr[64];
    size_t len;

    (void)state;
    kit_make_folder(folder_cstr);
    buffer_init(&bytes, 8192);
    from_hex("302e020100300506032b6570042204209d61b19deffd5a60ba844af492ec2cc4"
             "4449c5697b326919703bac031cae7f60",
             der, sizeof der);
    assert_true(sign_key_parse(slice_of(der, sizeof der), &key, NULL));
    assert_true(sign_key_write_public(key, &bytes));
    assert_true(
        slice_equal(buffer_view(&bytes), S("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")));
    for (int round = 0; round < 2; round++) {
        sha256(S("header block"), digest);
        assert_true(sign_digest(key, digest, signature, &len, NULL));
        buffer_clear(&bytes);
        assert_true(sign_key_write_pem(key, &bytes));
        kit_write_file(folder_cstr, "key", buffer_view(&bytes));
        kit_write_file(folder_cstr, "digest", slice_of(digest, sizeof digest));
        kit_write_file(folder_cstr, "text", S("header block"));
        kit_write_file(folder_cstr, "signature", slice_of(signature, len));
        assert_true(KIT_RUN("env", "-C", folder_cstr, "openssl", "pkey", "-in", "key",
                            "-pubout", "-out", "public"));
        if (round == 0)
            assert_true(KIT_RUN("env", "-C", folder_cstr, "openssl", "pkeyutl", "-verify",
                                "-rawin", "-in", "digest", "-sigfile", "signature", "-pubin",
                                "-inkey", "public"));
        else
            assert_true(KIT_RUN("env", "-C", folder_cstr, "openssl", "dgst", "-sha256",
                                "-verify", "public", "-signature", "signature", "text"));
        sign_key_free(&key);
        if (round == 0)
            assert_true(sign_key_generate(SIGN_RSA_SHA256, 2048, &key, NULL));
    }
    buffer_wipe(&bytes);
    kit_remove_folder(folder_cstr);
}

static void test_signing_keys_refused(void **state)
{
    struct recipient_key *curve = NULL;
    struct sign_key *key = NULL;
    struct buffer pem;
    char folder_cstr[64];
    uint8_t bytes[8192];
    struct err err;

    (void)state;
    buffer_init(&pem, 8192);
    assert_false(sign_key_parse(S("x"), &key, &err));
    assert_false(sign_key_generate(SIGN_RSA_SHA256, 1024, &key, &err));
    assert_true(recipient_key_generate("not for signing", &curve, &err));
    assert_true(recipient_key_write_pem(curve, &pem));
    assert_false(sign_key_parse(buffer_view(&pem), &key, &err));
    assert_non_null(strstr(err.text_cstr, "neither"));
    kit_make_folder(folder_cstr);
    assert_true(KIT_RUN("env", "-C", folder_cstr, "openssl", "genrsa", "-out", "short", "768"));
    assert_false(sign_key_parse(
        slice_of(bytes, kit_read_file(folder_cstr, "short", bytes, sizeof bytes)), &key, &err));
    assert_non_null(strstr(err.text_cstr, "768"));
    assert_true(KIT_RUN("env", "-C", folder_cstr, "openssl", "genrsa", "-aes128", "-passout",
                        "pass:secret", "-out", "locked", "1024"));
    assert_false(sign_key_parse(
        slice_of(bytes, kit_read_file(folder_cstr, "locked", bytes, sizeof bytes)), &key,
        &err));
    assert_int_equal(err.class, ERR_PERM);
    kit_remove_folder(folder_cstr);
    recipient_key_free(&curve);
    buffer_wipe(&pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_differs),
        cmocka_unit_test(test_digest_vectors),
        cmocka_unit_test(test_aead_vectors),
        cmocka_unit_test(test_aead_refuses_any_change),
        cmocka_unit_test(test_box),
        cmocka_unit_test(test_keywrap),
        cmocka_unit_test(test_recipient_key_round_trip),
        cmocka_unit_test(test_openssl_opens_a_sealed_key),
        cmocka_unit_test(test_passwords),
        cmocka_unit_test(test_password_box),
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_signatures_are_what_others_expect),
        cmocka_unit_test(test_signing_keys_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
