//! Published figures of the workloads, so that they can stand beside the measured ones.
//!
//! They were measured on another machine, on a C++ allocator in two versions: *before* keeps the
//! exact size and searches from the bin above it, *after* rounds every size up to a bin. Their
//! utilization is comparable with ours, their times are not.

use crate::stats::Utilization;

/// How the sizes of a uniform family relate to s = 32 · 4^i, i = 0..=10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// s
    PowerOfTwo,
    /// s − 17
    PowerOfTwoMinus17,
    /// s + 17
    PowerOfTwoPlus17,
    /// ⌊0.9 s⌋
    NineTenths,
    /// ⌊1.1 s⌋
    ElevenTenths,
}

/// Every family, in the published order.
pub const FAMILIES: [Family; 5] = [
    Family::PowerOfTwo,
    Family::PowerOfTwoMinus17,
    Family::PowerOfTwoPlus17,
    Family::NineTenths,
    Family::ElevenTenths,
];

/// Published figures of one uniform size.
#[derive(Clone, Copy, Debug)]
pub struct UniformRow {
    /// Family the size belongs to.
    pub family: Family,
    /// Object size.
    pub size_bytes: u64,
    /// Exact sizes, search from the bin above.
    pub before: UniformFigures,
    /// Sizes rounded up to a bin.
    pub after: UniformFigures,
}

/// Figures of one uniform run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UniformFigures {
    /// Smallest utilization after any operation.
    pub utilization_min: f64,
    /// Mean utilization over the operations.
    pub utilization_mean: f64,
    /// Mean time of an operation.
    pub ns_per_op: f64,
}

/// Figures of one run whose utilization is a distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DistributionFigures {
    /// Utilization over the samples.
    pub utilization: Utilization,
    /// Mean time of an operation.
    pub ns_per_op: f64,
}

/// Random sizes, rounded up to a bin.
pub const RANDOM_AFTER: DistributionFigures = DistributionFigures {
    utilization: Utilization {
        min: 0.544250,
        p99: 0.713338,
        p90: 0.779739,
        p50: 0.847867,
        max: 0.952591,
        mean: 0.841576,
    },
    ns_per_op: 145.575738,
};

/// Random sizes, exact.
pub const RANDOM_BEFORE: DistributionFigures = DistributionFigures {
    utilization: Utilization {
        min: 0.569255,
        p99: 0.712076,
        p90: 0.781224,
        p50: 0.855046,
        max: 0.976057,
        mean: 0.848873,
    },
    ns_per_op: 142.508508,
};

/// Paired sizes, rounded up to a bin; sampled at the failures.
pub const PAIRED: DistributionFigures = DistributionFigures {
    utilization: Utilization {
        min: 0.951814,
        p99: 0.951879,
        p90: 0.952077,
        p50: 0.952382,
        max: 0.952621,
        mean: 0.952343,
    },
    ns_per_op: 352.207986,
};

/// Every uniform row, family by family.
///
/// A line reads: size, then minimum utilization, mean utilization and nanoseconds of *before*, then
/// the same of *after*.
#[rustfmt::skip] // One line per row keeps the columns of the table.
pub const UNIFORM: [UniformRow; 55] = [
    row(Family::PowerOfTwo,                 32, [1.0     , 1.0     ,  539.0], [1.0     , 1.0     , 544.0]),
    row(Family::PowerOfTwo,                128, [1.0     , 1.0     ,  419.0], [1.0     , 1.0     , 417.0]),
    row(Family::PowerOfTwo,                512, [1.0     , 1.0     ,  217.0], [1.0     , 1.0     , 174.0]),
    row(Family::PowerOfTwo,              2_048, [1.0     , 1.0     ,  408.0], [1.0     , 1.0     , 406.0]),
    row(Family::PowerOfTwo,              8_192, [1.0     , 1.0     ,  175.0], [1.0     , 1.0     , 180.0]),
    row(Family::PowerOfTwo,             32_768, [1.0     , 1.0     ,  130.0], [1.0     , 1.0     , 133.0]),
    row(Family::PowerOfTwo,            131_072, [1.0     , 1.0     ,  107.0], [1.0     , 1.0     , 109.0]),
    row(Family::PowerOfTwo,            524_288, [1.0     , 1.0     ,   99.0], [1.0     , 1.0     , 100.0]),
    row(Family::PowerOfTwo,          2_097_152, [1.0     , 1.0     ,  100.0], [1.0     , 1.0     ,  99.0]),
    row(Family::PowerOfTwo,          8_388_608, [1.0     , 1.0     ,   98.0], [1.0     , 1.0     ,  99.0]),
    row(Family::PowerOfTwo,         33_554_432, [1.0     , 1.0     ,   98.0], [1.0     , 1.0     ,  98.0]),
    row(Family::PowerOfTwoMinus17,          15, [1.0     , 1.0     ,  566.0], [1.0     , 1.0     , 568.0]),
    row(Family::PowerOfTwoMinus17,         111, [0.669866, 0.710845,  703.0], [0.991071, 0.991071, 441.0]),
    row(Family::PowerOfTwoMinus17,         495, [0.665779, 0.676874,  238.0], [0.966797, 0.966797, 178.0]),
    row(Family::PowerOfTwoMinus17,       2_031, [0.668333, 0.705411,  637.0], [0.991699, 0.991699, 418.0]),
    row(Family::PowerOfTwoMinus17,       8_175, [0.666175, 0.676474,  242.0], [0.997925, 0.997925, 170.0]),
    row(Family::PowerOfTwoMinus17,      32_751, [0.664435, 0.669078,  168.0], [0.999481, 0.999481, 133.0]),
    row(Family::PowerOfTwoMinus17,     131_055, [0.66062 , 0.667341,  124.0], [0.99987 , 0.99987 , 109.0]),
    row(Family::PowerOfTwoMinus17,     524_271, [0.653055, 0.666993,  118.0], [0.999968, 0.999968, 100.0]),
    row(Family::PowerOfTwoMinus17,   2_097_135, [0.64062 , 0.666873,  116.0], [0.999992, 0.999992,  99.0]),
    row(Family::PowerOfTwoMinus17,   8_388_591, [0.605468, 0.667812,  115.0], [0.999998, 0.999998,  98.0]),
    row(Family::PowerOfTwoMinus17,  33_554_415, [0.5625  , 0.670944,  116.0], [0.999999, 0.999999,  99.0]),
    row(Family::PowerOfTwoPlus17,           49, [0.692229, 0.753062, 1122.0], [0.942308, 0.942308, 508.0]),
    row(Family::PowerOfTwoPlus17,          145, [0.667789, 0.700907,  572.0], [0.906249, 0.906249, 372.0]),
    row(Family::PowerOfTwoPlus17,          529, [0.66577 , 0.676238,  238.0], [0.918399, 0.918399, 172.0]),
    row(Family::PowerOfTwoPlus17,        2_065, [0.667926, 0.704884,  632.0], [0.896267, 0.896267, 403.0]),
    row(Family::PowerOfTwoPlus17,        8_209, [0.665708, 0.676372,  239.0], [0.89073 , 0.89073 , 174.0]),
    row(Family::PowerOfTwoPlus17,       32_785, [0.664224, 0.669058,  168.0], [0.889347, 0.889347, 131.0]),
    row(Family::PowerOfTwoPlus17,      131_089, [0.659631, 0.667287,  129.0], [0.88897 , 0.88897 , 105.0]),
    row(Family::PowerOfTwoPlus17,      524_305, [0.652609, 0.666884,  122.0], [0.888701, 0.888701, 102.0]),
    row(Family::PowerOfTwoPlus17,    2_097_169, [0.638677, 0.666516,  120.0], [0.888679, 0.888679, 100.0]),
    row(Family::PowerOfTwoPlus17,    8_388_625, [0.60547 , 0.665131,  121.0], [0.886721, 0.886721, 100.0]),
    row(Family::PowerOfTwoPlus17,   33_554_449, [0.546875, 0.660917,  120.0], [0.875   , 0.875   , 100.0]),
    row(Family::NineTenths,                 28, [1.0     , 1.0     ,  539.0], [1.0     , 1.0     , 543.0]),
    row(Family::NineTenths,                115, [0.669299, 0.709245,  701.0], [0.958333, 0.958333, 418.0]),
    row(Family::NineTenths,                460, [0.665825, 0.677532,  255.0], [0.958332, 0.958332, 189.0]),
    row(Family::NineTenths,              1_843, [0.669352, 0.709202,  691.0], [0.959896, 0.959896, 418.0]),
    row(Family::NineTenths,              7_372, [0.66619 , 0.677401,  260.0], [0.959895, 0.959895, 197.0]),
    row(Family::NineTenths,             29_491, [0.664311, 0.669511,  172.0], [0.959993, 0.959993, 135.0]),
    row(Family::NineTenths,            117_964, [0.661812, 0.667356,  133.0], [0.959979, 0.959979, 111.0]),
    row(Family::NineTenths,            471_859, [0.654345, 0.667048,  123.0], [0.959985, 0.959985, 100.0]),
    row(Family::NineTenths,          1_887_436, [0.640722, 0.666447,  121.0], [0.959765, 0.959765,  99.0]),
    row(Family::NineTenths,          7_549_747, [0.611719, 0.666847,  119.0], [0.959766, 0.959766,  99.0]),
    row(Family::NineTenths,         30_198_988, [0.548437, 0.669799,  125.0], [0.95625 , 0.95625 ,  99.0]),
    row(Family::ElevenTenths,               35, [0.7098  , 0.774162, 1306.0], [0.972222, 0.972222, 531.0]),
    row(Family::ElevenTenths,              140, [0.667934, 0.702151,  599.0], [0.972222, 0.972222, 397.0]),
    row(Family::ElevenTenths,              563, [0.665599, 0.675548,  239.0], [0.977427, 0.977427, 180.0]),
    row(Family::ElevenTenths,            2_252, [0.667371, 0.701623,  601.0], [0.97743 , 0.97743 , 389.0]),
    row(Family::ElevenTenths,            9_011, [0.665485, 0.675528,  244.0], [0.977752, 0.977752, 183.0]),
    row(Family::ElevenTenths,           36_044, [0.663248, 0.668912,  170.0], [0.977752, 0.977752, 133.0]),
    row(Family::ElevenTenths,          144_179, [0.660308, 0.666934,  127.0], [0.977739, 0.977739, 106.0]),
    row(Family::ElevenTenths,          576_716, [0.654467, 0.66679 ,  122.0], [0.977538, 0.977538, 103.0]),
    row(Family::ElevenTenths,        2_306_867, [0.633789, 0.666159,  121.0], [0.977539, 0.977539,  99.0]),
    row(Family::ElevenTenths,        9_227_468, [0.597266, 0.666037,  118.0], [0.975391, 0.975391,  99.0]),
    row(Family::ElevenTenths,       36_909_875, [0.55    , 0.669564,  121.0], [0.9625  , 0.9625  , 100.0]),
];

const fn row(family: Family, size_bytes: u64, before: [f64; 3], after: [f64; 3]) -> UniformRow {
    UniformRow {
        family,
        size_bytes,
        before: figures(before),
        after: figures(after),
    }
}

const fn figures([utilization_min, utilization_mean, ns_per_op]: [f64; 3]) -> UniformFigures {
    UniformFigures {
        utilization_min,
        utilization_mean,
        ns_per_op,
    }
}

/// Time of an arena allocation that the published allocator's description promises.
pub const ARENA_CLAIM_NS: u32 = 50;

/// Times of an arena allocation of the published allocator with one thread and with two on one arena,
/// as measured unmodified on a virtual machine of two AMD EPYC cores; the second varied between runs.
pub const ARENA_MEASURED_NS: [&str; 2] = ["6.5", "41–58"];

/// Time in which the published allocator populated 1 GiB of base pages on that machine.
pub const POPULATION_MS: f64 = 443.0;

impl Family {
    /// Returns the size of the family for s = 32 · 4^power.
    #[must_use]
    pub const fn size_bytes(self, power: u32) -> u64 {
        let s = 32 << (2 * power);
        match self {
            Self::PowerOfTwo => s,
            Self::PowerOfTwoMinus17 => s - 17,
            Self::PowerOfTwoPlus17 => s + 17,
            Self::NineTenths => s * 9 / 10,
            Self::ElevenTenths => s * 11 / 10,
        }
    }

    /// Returns the rows of the family, in ascending order of size.
    pub fn rows(self) -> impl Iterator<Item = &'static UniformRow> {
        UNIFORM.iter().filter(move |row| row.family == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_five_families_of_eleven_sizes() {
        let sizes: Vec<u64> = UNIFORM.iter().map(|row| row.size_bytes).collect();
        let powers = 0..11;
        let family_sizes = |family: Family| powers.clone().map(move |i| family.size_bytes(i));
        let expected: Vec<u64> = FAMILIES.into_iter().flat_map(family_sizes).collect();
        assert_eq!(sizes, expected);
        assert_eq!(sizes.len(), 55);
    }

    #[test]
    fn utilizations_are_shares_and_times_are_positive() {
        for row in UNIFORM {
            for figures in [row.before, row.after] {
                assert!(
                    figures.utilization_min <= figures.utilization_mean,
                    "{row:?}"
                );
                assert!((0.5..=1.0).contains(&figures.utilization_min), "{row:?}");
                assert!(figures.utilization_mean <= 1.0, "{row:?}");
                assert!(figures.ns_per_op > 90.0, "{row:?}");
            }
        }
    }

    #[test]
    fn distributions_ascend() {
        for figures in [RANDOM_BEFORE, RANDOM_AFTER, PAIRED] {
            let Utilization {
                min,
                p99,
                p90,
                p50,
                max,
                mean,
            } = figures.utilization;
            assert!([min, p99, p90, p50, max].is_sorted());
            assert!((p90..p50 + 0.01).contains(&mean));
        }
    }
}
