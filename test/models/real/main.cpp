// The program of the scenarios for the library's own code, which are in scenarios/: see engine.hpp
// and scenario.hpp.
//
//     real [--executions N] [--mutant MUTANT]... [--history] [SCENARIO]...
//
// Runs them, or all; exits with 0 if all hold. --history prints an execution that does not,
// operation by operation. A mutant is FILE:FUNCTION-OR-LINE:OPERATION=ORDER, as in
// "mutex.c:unlock_held:store_release=relaxed", or ...=dropped.
//
// With --near FILE:FUNCTION, a source's base name, it first runs all a few times, then those alone
// that reach an atomic operation there, and ends with the first that does not hold. "mutant
// reached" says that some scenario carries it out.
#include "engine.hpp"

using engine::scenario;
using engine::scenarios;

static bool is_selected(const scenario &s, const std::vector<std::string> &names)
{
  return names.empty() || std::find(names.begin(), names.end(), s.name) != names.end();
}

static bool run(const scenario &s, unsigned long executions, std::string *why)
{
  engine::scenario_now = (int)(&s - scenarios().data());
  return engine::holds(s, executions, why);
}

// The scenarios that reach that place, or, if no operation stands there, its file.
static engine::scenario_set near(const std::string &place)
{
  std::string file = place.substr(0, place.find(':')),
              function = place.substr(std::min(place.size(), file.size() + 1));
  engine::scenario_set in_function, in_file;
  for (int i = 0; i < engine::reached_count; i++) {
    const site *s = engine::reached[i];
    if (file != engine::base_name(s->file))
      continue;
    in_file |= engine::reached_by[i];
    if (function == s->function)
      in_function |= engine::reached_by[i];
  }
  return in_function.any() ? in_function : in_file;
}

// True: it holds.
static bool print(const scenario &s, unsigned long executions)
{
  std::string why;
  bool held = run(s, executions, &why);
  printf("  %s  %s%s\n", held ? "ok   " : "FAIL ", s.name, held ? "" : (": " + why).c_str());
  fflush(stdout);
  return held;
}

int main(int argc, char **argv)
{
  std::string place;
  unsigned long executions = 3000;
  std::vector<std::string> names;
  for (int i = 1; i < argc; i++) {
    std::string argument = argv[i];
    if (argument == "--executions" && i + 1 < argc)
      executions = strtoul(argv[++i], nullptr, 10);
    else if (argument == "--mutant" && i + 1 < argc)
      engine::mutants.push_back(engine::parse(argv[++i]));
    else if (argument == "--near" && i + 1 < argc)
      place = argv[++i];
    else if (argument == "--history")
      engine::with_history = true;
    else
      names.push_back(argument);
  }
  if (scenarios().size() > engine::scenario_set().size())
    abort(); // a bit each
  if (!place.empty()) {
    for (const scenario &s : scenarios())
      if (is_selected(s, names) && !print(s, executions / 20))
        return 1;
    engine::scenario_set selected = near(place);
    // Where many reach it, fewer of each; and first those whose names begin as the source's.
    std::string stem = place.substr(0, place.find_first_of("._:"));
    for (bool own : {true, false}) {
      auto runs = [&](const scenario &s) {
        return is_selected(s, names) && selected[&s - scenarios().data()] &&
               own == (std::string(s.name).compare(0, stem.size(), stem) == 0);
      };
      size_t count = std::count_if(scenarios().begin(), scenarios().end(), runs);
      for (const scenario &s : scenarios())
        if (runs(s) && !print(s, std::min(executions, 8 * executions / std::max<size_t>(1, count))))
          return 1;
    }
    if (std::any_of(engine::reached, engine::reached + engine::reached_count,
                    [](const site *s) { return s->is_mutant; }))
      printf("mutant reached\n");
    return 0;
  }
  int failed = 0, ran = 0;
  for (const scenario &s : scenarios())
    if (is_selected(s, names)) {
      failed += !print(s, executions);
      ran++;
    }
  return ran && !failed ? 0 : 1;
}
