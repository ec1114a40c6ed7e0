//! What a self-test that passed says.

/// What every strategy meets.
const REQUIREMENTS: [&str; 16] = [
    "S0.1", "S0.2", "S0.3", "S0.4", "S0.5", "S0.6", "S0.7", "S0.8", "S0.9", "S1.1", "S1.2", "S1.3",
    "S1.4", "S1.5", "S1.8", "S1.9",
];

/// What only `demand` does.
const OF_DEMAND: [&str; 2] = ["S1.6", "S1.7"];

/// Checks that every line is there that the kernel prints with this strategy, and no other.
pub(crate) fn assert_passed(output: &str, strategy: &str) {
    let mut expected: Vec<String> = REQUIREMENTS.map(|id| format!("PASS {id}")).into();
    expected.extend(OF_DEMAND.map(|id| match strategy {
        "demand" => format!("PASS {id}"),
        _ => format!("SKIP {id} is about tables=demand"),
    }));
    for line in &expected {
        assert!(
            output.lines().any(|found| found == line),
            "no `{line}` with tables={strategy} in:\n{output}"
        );
    }
    assert!(!output.contains("FAIL"), "{output}");
    let passed = expected.iter().filter(|line| line.starts_with("PASS"));
    let summary = format!("selftest: {} passed, 0 failed", passed.count());
    assert!(output.contains(&summary), "no `{summary}` in:\n{output}");
}
