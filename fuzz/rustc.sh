#!/bin/sh
# What `cargo xtask fuzz` compiles our crates with: LLVM's coverage instrumentation, as cargo-fuzz
# asks for it. Build scripts are left out, they have no fuzzer to link.
case " $* " in
*" --crate-name build_script_build "* | *" --crate-name ___ "*) exec "$@" ;;
esac
exec "$@" --cfg=fuzzing -Cpasses=sancov-module \
  -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares \
  -Ccodegen-units=1
