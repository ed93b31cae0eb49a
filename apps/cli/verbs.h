// The program's verbs. Each is one file; main.cpp holds the table of them.
#pragma once

#include <string>
#include <vector>

namespace tarn::cli {

using Words = std::vector<std::string>;

// Each takes what stands behind the verb and returns the exit status.
int chat(const Words& arguments);
int generate(const Words& arguments);
int tokenize(const Words& arguments);
int plan(const Words& arguments);
int bench(const Words& arguments);
int launch(const Words& arguments);
int ops(const Words& arguments);
int doctor(const Words& arguments);
int pull(const Words& arguments);
int ls(const Words& arguments);
int show(const Words& arguments);
int rm(const Words& arguments);
int verify(const Words& arguments);
int du(const Words& arguments);
int convert(const Words& arguments);
int fuse(const Words& arguments);
int merge(const Words& arguments);
int train(const Words& arguments);
int eval(const Words& arguments);
int research(const Words& arguments);

}  // namespace tarn::cli
